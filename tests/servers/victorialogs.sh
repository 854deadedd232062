#!/usr/bin/env bash
# VictoriaLogs: takes Loki's push (JSON, protobuf), JSON lines, Elasticsearch's `_bulk`, OTLP (protobuf), Splunk's HEC,
# Datadog's v2 and syslog over TCP, and answers LogsQL queries. Built from its Go module, which needs Go 1.26 and about a
# minute, once. Needs openssl.
#
#   eval "$(tests/servers/victorialogs.sh start)"    # VICTORIALOGS_URL, VICTORIALOGS_PID, VICTORIALOGS_DIR
#                                                    # VICTORIALOGS_SYSLOG_URL
#                                                    # VICTORIALOGS_TLS_URL, VICTORIALOGS_SYSLOG_TLS_URL; the CA is
#                                                    # $VICTORIALOGS_CA
#   cargo test --test real -- --ignored
#   kill "$VICTORIALOGS_PID"
#
# VICTORIALOGS_FLAGS adds flags to the command line, as `-httpAuth.username=me -httpAuth.password=secret`.
#
# What was pushed is found by a query after /internal/force_flush. SIGTERM loses nothing; SIGKILL loses what was acked in
# the last seconds. To raise the version, change go.mod and VERSION together.

source "$(dirname "$0")/lib.sh"
VERSION=1.51.1-dc94972a8708
PORTS=4

install() {
    build_go github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs "$1/victoria-logs"
}

start() {
    local at=127.0.0.1 own=()
    local http=$at:$1 https=$at:$(($1 + 1)) syslog=$at:$(($1 + 2)) syslog_tls=$at:$(($1 + 3))
    certify "$DIR"
    read -ra own <<<"${VICTORIALOGS_FLAGS:-}"
    # Records of any age are kept: the default, seven days, would drop what a test sends with a fixed time.
    serve "$HOME_DIR/victoria-logs" -storageDataPath="$DIR/data" -retentionPeriod=100y -memory.allowedBytes=256MiB \
        -httpListenAddr="$http,$https" -tls=false,true -tlsCertFile=",$DIR/cert.pem" -tlsKeyFile=",$DIR/key.pem" \
        -syslog.listenAddr.tcp="$syslog,$syslog_tls" -syslog.tls=false,true \
        -syslog.tlsCertFile=",$DIR/cert.pem" -syslog.tlsKeyFile=",$DIR/key.pem" "${own[@]}"
    local each
    for each in "started server at http://$http/" "started server at https://$https/" \
        "messages at -syslog.listenAddr.tcp=\"$syslog\"" "messages at -syslog.listenAddr.tcp=\"$syslog_tls\""; do
        wait_until logged "$each" || return 1
    done
    report URL="http://$http" TLS_URL="https://$https" SYSLOG_URL="tcp://$syslog" SYSLOG_TLS_URL="tls://$syslog_tls" \
        CA="$DIR/ca.pem"
}

main "$@"
