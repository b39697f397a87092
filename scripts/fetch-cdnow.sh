#!/bin/sh
# Fetches the CDNOW purchase history (69,659 orders, 1997-01 to 1998-06) and its published sample of 2,357 customers for
# the tests: files of the PyPI package `lifetimes`, kept in tests/.cache and never committed.
#
# fetch-cdnow.sh PYTHON   a Python that has pip
set -eu

python="${1:?a Python with pip}"
package=lifetimes==0.11.3
members=lifetimes/datasets
cache=tests/.cache
attempts=4

# are_complete FOLDER
are_complete() {
    [ -d "$1" ] && (cd "$1" && sha256sum --check --status) 2>/dev/null <<EOF
eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef  CDNOW_master.txt
6fae10155c0b0ba363c2c386e30f77990d22328220efd862a5edd1443420d94a  CDNOW_sample.txt
EOF
}

are_complete "$cache" && exit 0

mkdir -p "$cache"
work="$(mktemp -d "$cache/cdnow.XXXXXX")"
trap 'rm -rf "$work"' EXIT

attempt=1
until "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package"; do
    if [ "$attempt" -ge "$attempts" ]; then
        echo "The package $package cannot be fetched from PyPI, and the CDNOW tests need its data." >&2
        echo "Is the package index reachable? pip's usual variables (PIP_INDEX_URL, HTTPS_PROXY) are respected." >&2
        exit 1
    fi
    sleep $((attempt * 3))
    attempt=$((attempt + 1))
done

"$python" -m zipfile -e "$work"/*.whl "$work"
if ! are_complete "$work/$members"; then
    echo "the CDNOW files of $package are not those that the tests know" >&2
    exit 1
fi
mv "$work/$members/CDNOW_master.txt" "$work/$members/CDNOW_sample.txt" "$cache/"
