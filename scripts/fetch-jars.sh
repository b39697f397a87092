#!/bin/sh
# Copies the jars that a pom.xml names from Maven Central into tests/.cache/NAME/libs, which is not committed. Without
# Java and Maven it says so and is done: what needs them is skipped then.
#
# fetch-jars.sh NAME POM
set -eu
cd "$(dirname "$0")/.."

name="${1:?name of the folder}"
manifest="${2:?pom.xml}"
cache="tests/.cache/$name"

for program in java mvn; do
    command -v "$program" >/dev/null || {
        echo "no $program here: what needs $name is skipped (Debian: default-jre-headless maven)" >&2
        exit 0
    }
done
cmp -s "$manifest" "$cache/.installed" && exit 0
echo "fetching $name from Maven Central" >&2
rm -rf "$cache"
mkdir -p "$cache"
attempt=1
until mvn --quiet --batch-mode --file "$manifest" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$PWD/$cache/libs" >&2; do
    if [ "$attempt" -ge 4 ]; then
        echo "$name cannot be fetched: is Maven Central reachable?" >&2
        exit 1
    fi
    # What has arrived by then is kept in Maven's own folder.
    sleep $((attempt * 5))
    attempt=$((attempt + 1))
done
# Copied last, so that an interrupted download is repeated.
cp "$manifest" "$cache/.installed"
