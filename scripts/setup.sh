#!/bin/sh
# Installs what momsflow needs on Debian and Ubuntu; elsewhere says what to install.
#
# setup.sh run    for building and serving: a C compiler and PostgreSQL 14 or later. Asks first.
# setup.sh test   for the tests as well: Python with tests/requirements.txt, another for the SDK's tests, and where there is
#                 Java and Maven, Kafka and the peers of the benches.
#                 Asks only on a terminal outside CI.
set -eu

purpose="${1:?run or test}"
oldest_postgres=14

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# The same places that momsflow searches.
has_postgres() {
    for program in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
        /opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres; do
        [ -x "$program" ] || continue
        major="$("$program" --version | sed -E 's/.*\(PostgreSQL\) ([0-9]+).*/\1/')"
        [ "$major" -ge "$oldest_postgres" ] && return 0
    done
    return 1
}

has_venv() {
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null
}

missing_packages() {
    command -v cc >/dev/null || printf ' build-essential'
    has_postgres || printf ' postgresql'
    if [ "$purpose" = test ] && [ -f tests/requirements.txt ]; then
        has_venv || printf ' python3 python3-venv'
    fi
}

may_install() {
    [ -n "${YES:-}" ] && return 0
    if [ -t 0 ] && [ -z "${CI:-}" ]; then
        printf 'momsflow needs%s. Install with apt-get? [Y/n] ' "$packages" >&2
        read -r answer
        case "$answer" in '' | [Yy]*) return 0 ;; *) return 1 ;; esac
    fi
    [ "$purpose" = test ]
}

# postgresql-common comes first and alone, because the server's package starts a cluster of its own on port 5432
# unless its configuration says otherwise by then. momsflow runs a private one.
forbid_debian_cluster() {
    cat <<'COMMANDS'
apt-get install -y --no-install-recommends postgresql-common
sed -i -E 's/^#? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
COMMANDS
}

install_commands() {
    echo 'apt-get update -q'
    case "$packages" in *postgresql*) forbid_debian_cluster ;; esac
    echo "apt-get install -y --no-install-recommends$packages"
}

install_missing() {
    packages="$(missing_packages)"
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null ||
        fail "momsflow needs these (names of Debian's packages):$packages; install them and try again"
    if [ "$(id -u)" -ne 0 ] || ! may_install; then
        say "momsflow needs$packages. As root:"
        install_commands | sed 's/^/    /' >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    install_commands | sh -ex >&2
    packages="$(missing_packages)"
    [ -z "$packages" ] || fail "still missing after the installation:$packages"
}

# make_venv FOLDER REQUIREMENTS
make_venv() {
    [ -f "$2" ] || return 0
    if ! cmp -s "$2" "$1/requirements.txt"; then
        say "installing the Python packages of $2"
        rm -rf "$1"
        python3 -m venv "$1"
        attempt=1
        until "$1/bin/pip" install --quiet --disable-pip-version-check --retries 8 -r "$2"; do
            [ "$attempt" -lt 4 ] || fail "The Python packages of $2 cannot be installed: is PyPI reachable?"
            sleep $((attempt * 5))
            attempt=$((attempt + 1))
        done
        # Copied last, so that an interrupted installation is repeated.
        cp "$2" "$1/requirements.txt"
    fi
}

command -v cargo >/dev/null || fail "momsflow is built with Rust, which is missing: see https://rustup.rs"
install_missing
if [ "$purpose" = test ]; then
    make_venv "$TEST_VENV" tests/requirements.txt
    make_venv "${SDK_VENV:-tests/.cache/venv-sdk}" sdk/python/requirements-test.txt
    scripts/fetch-cdnow.sh "$TEST_VENV/bin/python"
    scripts/fetch-kafka.sh
    # No test needs them.
    scripts/fetch-jars.sh peers tests/benches/peers/pom.xml || say "the peers of the benches are left out"
fi
