#!/usr/bin/env bash
# Fluent Forward with the handshake: the server half of the Fluent project's client for Node, which has the shared key,
# user and password, TLS and acks. Needs Node, npm and openssl.
#
#   eval "$(tests/servers/fluent.sh start)"    # FLUENT_FORWARD_URL and, each at its own port:
#                                              # FLUENT_KEY_URL     asks for the key $FLUENT_KEY
#                                              # FLUENT_USER_URL    also for $FLUENT_USER and $FLUENT_PASSWORD
#                                              # FLUENT_TLS_URL     for the key, and speaks TLS; the CA is $FLUENT_CA
#   cat "$FLUENT_DIR/entries.jsonl"            # what came in by all four
#   kill "$FLUENT_PID"
#
# A line is one entry: tag, seconds, nanoseconds (null where the time was an integer), record. An entry is acked before it
# is in the file; integers above 2^53 lose digits. What arrives is read by JavaScript, which knows no other numbers.

source "$(dirname "$0")/lib.sh"
VERSION=1.0.10
PORTS=4

install() {
    within_time npm install --prefix "$1" --no-audit --no-fund --ignore-scripts "@fluent-org/logger@$VERSION"
}

start() {
    local key="a key" user="a user" password="a password" at=127.0.0.1
    certify "$DIR"
    touch "$DIR/entries.jsonl"
    serve env NODE_PATH="$HOME_DIR/node_modules" node "$HERE/fluent/server.js" "$1" "$DIR/entries.jsonl" \
        "$key" "$user" "$password" "$DIR/cert.pem" "$DIR/key.pem"
    wait_until logged "all four listen" || return 1
    report FORWARD_URL="tcp://$at:$1" KEY_URL="tcp://$at:$(($1 + 1))" USER_URL="tcp://$at:$(($1 + 2))" \
        TLS_URL="tls://$at:$(($1 + 3))" KEY="$key" USER="$user" PASSWORD="$password" CA="$DIR/ca.pem"
}

main "$@"
