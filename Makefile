# `make run` and `make test` work on a fresh Debian or Ubuntu with a Rust toolchain; `make help` lists the rest.

# Folder of all state. Left empty, scripts/data-dir.sh chooses.
DATA_DIR ?=
# Further flags for `momsflow serve`, or `momsflow demo`.
ARGS ?=
# `make run YES=1` installs what is missing without asking.
YES ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TEST_VENV := tests/.cache/venv
SDK_VENV := tests/.cache/venv-sdk

.DEFAULT_GOAL := help
.PHONY: help run build install demo test test-sdk interop soak forgeries bench bench-peers bench-sdk setup-run setup-test

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'
	@echo
	@echo "  Variables: DATA_DIR (folder of all state), ARGS (flags for serve or demo), YES=1 (install without asking),"
	@echo "             ONLY (parts of bench: capture ingest pixel visible memory start userprint"
	@echo "             kafka-ingest kafka-capture kafka-lag kafka-debezium;"
	@echo "             tests of soak: soak::over_kafka kafka::cluster kafka::namespaces …)"

run: setup-run build ## Installs what is missing, builds, and serves on this machine
	@data_dir="$$(scripts/data-dir.sh '$(DATA_DIR)')" && \
		exec $(TARGET_DIR)/release/momsflow serve --data-dir "$$data_dir" $(ARGS)

build: ## Builds the release binary
	cargo build --release --locked

install: setup-run ## Puts the momsflow command into cargo's folder on the PATH
	cargo install --locked --path .

test: setup-test ## Runs every check and test, as CI does
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	@if command -v cargo-deny >/dev/null; then \
		cargo deny --offline check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: licences and sources of the dependencies were not checked"; \
	fi
	INSTA_UPDATE=no MOMSFLOW_TEST_PYTHON="$(CURDIR)/$(TEST_VENV)/bin/python" cargo test --locked --all-targets
	@$(MAKE) --no-print-directory test-sdk

test-sdk: setup-test ## Checks and tests the Python SDK against a real serve
	cargo build --locked
	cd sdk/python && ../../$(SDK_VENV)/bin/ruff check . && ../../$(SDK_VENV)/bin/ruff format --check . && \
		../../$(SDK_VENV)/bin/mypy && \
		MOMSFLOW_BINARY="$(abspath $(TARGET_DIR))/debug/momsflow" ../../$(SDK_VENV)/bin/pytest $(if $(ONLY),-k '$(ONLY)')

interop: setup-run ## Tries unmodified Segment SDKs and prints what was sent and stored
	@tests/interop/setup.sh full
	MOMSFLOW_INTEROP=1 cargo test --locked --test it -- interop:: --nocapture --test-threads=1

demo: build ## Sends 90 days of a content platform's traffic to `make run` in another terminal (docs/demo.md)
	@data_dir="$$(scripts/data-dir.sh '$(DATA_DIR)')" && \
		exec $(TARGET_DIR)/release/momsflow demo --days 90 --data-dir "$$data_dir" $(ARGS)

bench: setup-run ## Measures this build against its peers; a quiet machine and some twenty minutes
	@scripts/fetch-kafka.sh
	$(if $(filter-out userprint,$(or $(ONLY),all)),cargo bench --locked --bench pipeline -- $(filter-out userprint,$(ONLY)))
	$(if $(filter userprint,$(or $(ONLY),userprint)),cargo bench --locked --bench userprint)

bench-peers: setup-run ## Measures Kafka to PostgreSQL against the Debezium JDBC sink, which it fetches
	@scripts/fetch-kafka.sh
	@scripts/fetch-jars.sh peers tests/benches/peers/pom.xml
	cargo bench --locked --bench pipeline -- kafka-debezium

bench-sdk: setup-test build ## Measures the Python SDK beside Segment's and RudderStack's
	cd sdk/python && export MOMSFLOW_BINARY="$(abspath $(TARGET_DIR))/release/momsflow" && \
		../../$(SDK_VENV)/bin/python bench/compare.py && \
		SDK_BULK_EVENTS=1000000 ../../$(SDK_VENV)/bin/pytest -s --timeout 900 tests/test_bulk.py

soak: setup-test build ## Kills, freezes, cuts, fills, floods a release build: SOAK_SECONDS (600), SOAK_SEED repeats a run
	SOAK_SECONDS="$${SOAK_SECONDS:-600}" MOMSFLOW_TEST_BINARY="$(abspath $(TARGET_DIR))/release/momsflow" \
		cargo test --locked --test it -- $(or $(ONLY),soak:: kafka::cluster kafka::namespaces) \
		--nocapture --test-threads=1

forgeries: ## Tries a million forged cookies (CASES, 1000000) on a release build: none may be accepted
	MOMSFLOW_TEST_FORGERIES="$${CASES:-1000000}" cargo test --release --locked --lib -- no_forgery --nocapture

setup-run:
	@YES='$(YES)' scripts/setup.sh run

setup-test:
	@TEST_VENV='$(TEST_VENV)' SDK_VENV='$(SDK_VENV)' scripts/setup.sh test
	@tests/interop/setup.sh short
