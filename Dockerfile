# syntax=docker/dockerfile:1
# docker build -t momsflow . && docker run -p 8080:8080 -v momsflow:/var/lib/momsflow --shm-size 256m momsflow

ARG RUST=1.95
FROM rust:${RUST}-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/momsflow /usr/local/bin/momsflow

# The same Debian as above, and always the same major version of PostgreSQL: it opens only its own data.
FROM debian:bookworm-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl postgresql-common tini \
    && sed -i -E 's/^#? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/momsflow --create-home --shell /usr/sbin/nologin momsflow
COPY --from=build /usr/local/bin/momsflow /usr/local/bin/momsflow

USER momsflow
WORKDIR /var/lib/momsflow
ENV MOMSFLOW_HTTP__LISTEN=0.0.0.0:8080 \
    MOMSFLOW_DATA_DIR=/var/lib/momsflow
VOLUME /var/lib/momsflow
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/live"]
# tini takes in processes whose parent died, such as backends of a killed PostgreSQL.
ENTRYPOINT ["tini", "--", "momsflow"]
CMD ["serve"]
