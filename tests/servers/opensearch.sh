#!/usr/bin/env bash
# OpenSearch: one node without security, which has Elasticsearch's `_bulk`, data streams and `_search`. Its jars come from
# Maven; needs a JDK, 17 or newer, and Maven.
#
#   eval "$(tests/servers/opensearch.sh start)"    # OPENSEARCH_URL, OPENSEARCH_PID, OPENSEARCH_DIR
#   kill "$OPENSEARCH_PID"
#
# What was acked is on disk and survives SIGKILL. A search finds it after INDEX/_refresh. To raise the version, change
# VERSION, and the one of log4j-core in pom.xml to what OpenSearch's own pom.xml names.

source "$(dirname "$0")/lib.sh"
VERSION=2.19.3
PORTS=2
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}

install() {
    within_time mvn --quiet --batch-mode --file "$HERE/opensearch/pom.xml" -Dopensearch.version="$VERSION" \
        -DoutputDirectory="$1/lib" dependency:copy-dependencies
    "${JAVA}javac" -d "$1" -cp "$1/lib/*" "$HERE/opensearch/OneNode.java"
}

start() {
    mkdir -p "$DIR/config"    # the node wants it, empty as it is
    serve "${JAVA}java" -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$HOME_DIR:$HOME_DIR/lib/*" \
        OneNode "$DIR" "$1" "$(($1 + 1))"
    wait_until logged "the node has started" || return 1
    report URL="http://127.0.0.1:$1"
}

main "$@"
