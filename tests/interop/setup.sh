#!/bin/sh
# Installs the SDKs of tests/interop into tests/.cache/interop, which is not committed.
#
# setup.sh short   what a machine's own Python and Node can run; what cannot be installed is left out
# setup.sh full    all: Node, a JDK, Maven and Chromium from Debian's packages as well
set -eu

purpose="${1:?short or full}"
cd "$(dirname "$0")/../.."
sources=tests/interop
cache=tests/.cache/interop

say() { printf '%s\n' "$*" >&2; }

install_packages() {
    missing=
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        missing="$missing python3 python3-venv"
    command -v npm >/dev/null || missing="$missing nodejs npm"
    command -v javac >/dev/null || missing="$missing default-jdk-headless"
    command -v mvn >/dev/null || missing="$missing maven"
    command -v chromium >/dev/null || missing="$missing chromium"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "The SDKs need (names of Debian's packages):$missing"
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    # shellcheck disable=SC2086 # a list
    apt-get install -y --no-install-recommends $missing >&2
}

# is_current FOLDER MANIFEST: the manifest is copied last, so that an interrupted installation is repeated.
is_current() { cmp -s "$sources/$2" "$cache/$1/.installed"; }
finish() { cp "$sources/$2" "$cache/$1/.installed"; }

python_sdks() {
    is_current venv requirements.txt && return 0
    say "installing the Python SDKs"
    rm -rf "$cache/venv"
    python3 -m venv "$cache/venv" &&
        "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --retries 8 \
            -r "$sources/requirements.txt" &&
        finish venv requirements.txt
}

node_sdks() {
    is_current node package.json && return 0
    say "installing the JavaScript SDKs"
    rm -rf "$cache/node"
    mkdir -p "$cache/node"
    cp "$sources/package.json" "$cache/node/"
    (cd "$cache/node" && npm install --silent --no-audit --no-fund --ignore-scripts >&2) && finish node package.json
}

# jars FOLDER: what its pom.xml names, and what that needs.
jars() {
    is_current "$1" "$1/pom.xml" && return 0
    say "installing the SDK for $1"
    rm -rf "${cache:?}/$1"
    mvn -q -B -f "$sources/$1/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$PWD/$cache/$1" >&2 && finish "$1" "$1/pom.xml"
}

# optional INSTALLER: in the short form an SDK that cannot be installed is left out, and its test says so.
optional() { "$1" || say "left out: $1 failed"; }

# What the tests will leave out; they cannot say so themselves when they pass.
left_out() {
    for kind in venv node java kotlin; do
        [ -e "$cache/$kind/.installed" ] || printf ' %s' "$kind"
    done
    [ -e /usr/bin/chromium ] || printf ' chromium'
}

mkdir -p "$cache"
if [ "$purpose" = full ]; then
    install_packages
    python_sdks
    node_sdks
    jars java
    jars kotlin
else
    if command -v python3 >/dev/null; then optional python_sdks; fi
    if command -v npm >/dev/null; then optional node_sdks; fi
    missing="$(left_out)"
    [ -z "$missing" ] || say "The tests with SDKs leave out what needs:$missing (make interop installs all)"
fi
