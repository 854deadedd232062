#!/usr/bin/env bash
# The OpenTelemetry Collector: takes OTLP over HTTP, Fluent Forward with acks, and syslog (RFC 5424) over TCP, and appends
# what each of the three got to a file of its own. Built from its Go modules, which needs Go 1.26, two minutes on two cores
# and 1.5 GB for that time, once.
#
#   eval "$(tests/servers/otelcol.sh start)"    # OTELCOL_URL, OTELCOL_FORWARD_URL, OTELCOL_SYSLOG_URL, ...
#   cat "$OTELCOL_DIR/otlp.jsonl"               # and forward.jsonl, syslog.jsonl
#   kill "$OTELCOL_PID"
#
# OTELCOL_SYSLOG_URL wants frames that begin with their length, OTELCOL_SYSLOG_LINES_URL frames that end with a line feed.
#
# A line of those files is one request in OTLP's JSON. It is written within 100 ms after its ack: SIGKILL loses what came
# last. SIGTERM loses nothing. To raise the version, change go.mod, main.go and VERSION together.

source "$(dirname "$0")/lib.sh"
VERSION=0.160.0
PORTS=4

install() {
    build_go . "$1/otelcol"
}

start() {
    local at=127.0.0.1
    touch "$DIR"/{otlp,forward,syslog}.jsonl
    serve env DIR="$DIR" OTLP="$at:$1" FORWARD="$at:$(($1 + 1))" SYSLOG="$at:$(($1 + 2))" SYSLOG_LINES="$at:$(($1 + 3))" \
        "$HOME_DIR/otelcol" --config "$HERE/otelcol/config.yaml"
    wait_until logged "Everything is ready." || return 1
    report URL="http://$at:$1" FORWARD_URL="tcp://$at:$(($1 + 1))" SYSLOG_URL="tcp://$at:$(($1 + 2))" \
        SYSLOG_LINES_URL="tcp://$at:$(($1 + 3))"
}

main "$@"
