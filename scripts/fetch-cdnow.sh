#!/bin/sh
# Fetches the CDNOW purchase history (69,659 orders, 1997-01 to 1998-06) for the tests: a file of the PyPI package
# `lifetimes`, kept in tests/.cache and never committed.
#
# fetch-cdnow.sh PYTHON   a Python that has pip
set -eu

python="${1:?a Python with pip}"
package=lifetimes==0.11.3
member=lifetimes/datasets/CDNOW_master.txt
sha256=eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef
file=tests/.cache/CDNOW_master.txt
attempts=4

is_complete() {
    [ -f "$1" ] && printf '%s  %s\n' "$sha256" "$1" | sha256sum --check --status
}

is_complete "$file" && exit 0

mkdir -p tests/.cache
work="$(mktemp -d tests/.cache/cdnow.XXXXXX)"
trap 'rm -rf "$work"' EXIT

attempt=1
until "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package"; do
    if [ "$attempt" -ge "$attempts" ]; then
        echo "The package $package cannot be fetched from PyPI, and the CDNOW test needs its data." >&2
        echo "Is the package index reachable? pip's usual variables (PIP_INDEX_URL, HTTPS_PROXY) are respected." >&2
        exit 1
    fi
    sleep $((attempt * 3))
    attempt=$((attempt + 1))
done

"$python" -m zipfile -e "$work"/*.whl "$work"
if ! is_complete "$work/$member"; then
    echo "$member of $package is not the file that the test knows" >&2
    exit 1
fi
mv "$work/$member" "$file"
