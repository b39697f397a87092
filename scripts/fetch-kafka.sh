#!/bin/sh
# Copies the jars of the Kafka that the tests run against from Maven Central into tests/.cache/kafka, which is not
# committed. Without Java and Maven it says so and is done: those tests are skipped then.
set -eu
cd "$(dirname "$0")/.."

manifest=tests/kafka/pom.xml
cache=tests/.cache/kafka

for program in java mvn; do
    command -v "$program" >/dev/null || {
        echo "no $program here: the tests against Kafka are skipped (Debian: default-jre-headless maven)" >&2
        exit 0
    }
done
cmp -s "$manifest" "$cache/.installed" && exit 0
echo "fetching Kafka for the tests from Maven Central" >&2
rm -rf "$cache"
mkdir -p "$cache"
mvn --quiet --batch-mode --file "$manifest" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$PWD/$cache/libs" >&2 || {
    echo "Kafka cannot be fetched: is Maven Central reachable?" >&2
    exit 1
}
# Copied last, so that an interrupted download is repeated.
cp "$manifest" "$cache/.installed"
