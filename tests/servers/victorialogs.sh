#!/usr/bin/env bash
# VictoriaLogs: takes Loki's push (JSON, protobuf) and JSON lines, and answers LogsQL queries. Built from its Go module,
# which needs Go 1.26 and about a minute, once.
#
#   eval "$(tests/servers/victorialogs.sh start)"    # VICTORIALOGS_URL, VICTORIALOGS_PID, VICTORIALOGS_DIR
#   cargo test --test real -- --ignored
#   kill "$VICTORIALOGS_PID"
#
# What was pushed is found by a query after /internal/force_flush. To raise the version, change go.mod and VERSION together.

source "$(dirname "$0")/lib.sh"
VERSION=1.51.1-dc94972a8708

install() {
    build_go github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs "$1/victoria-logs"
}

start() {
    # Records of any age are kept: the default, seven days, would drop what a test sends with a fixed time.
    serve "$HOME_DIR/victoria-logs" -httpListenAddr="127.0.0.1:$1" -storageDataPath="$DIR/data" \
        -retentionPeriod=100y -memory.allowedBytes=256MiB
    wait_until logged "started server at http://127.0.0.1:$1/" || return 1
    report URL="http://127.0.0.1:$1"
}

main "$@"
