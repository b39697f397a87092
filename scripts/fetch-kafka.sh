#!/bin/sh
# Fetches the Kafka that the tests and benches run against into tests/.cache/kafka; without Java and Maven they are
# skipped.
#
# The tests start some fifty JVMs on these jars. Most of the time that takes goes into loading classes, so a broker is
# started once here and leaves an archive of them behind; a JVM that cannot use it goes on without a word.
set -eu
cd "$(dirname "$0")/.."

cache=tests/.cache/kafka

archive_classes() {
    folder="$(mktemp -d)"
    port=$((20000 + $$ % 5000 * 2))
    cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$port
listeners=PLAINTEXT://127.0.0.1:$((port + 1)),CONTROLLER://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$folder/data
PROPERTIES
    # As tests/it/kafka/console.rs starts them: an archive is only good for the same collector and class path.
    run="java -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    $run -cp "$PWD/$cache/libs/*" kafka.tools.StorageTool format \
        -t "m$(date +%s)aaaaaaaaaaa" -c "$folder/server.properties" >"$folder/log" 2>&1 &&
        timeout --signal=TERM 8 $run -XX:ArchiveClassesAtExit="$PWD/$cache/classes.jsa" \
            -cp "$PWD/$cache/libs/*" kafka.Kafka "$folder/server.properties" >>"$folder/log" 2>&1 || true
    [ -e "$cache/classes.jsa" ] || echo "no archive of classes: Kafka starts more slowly in the tests" >&2
    rm -rf "$folder"
}

scripts/fetch-jars.sh kafka tests/kafka/pom.xml
[ ! -d "$cache/libs" ] || [ -e "$cache/classes.jsa" ] || archive_classes
