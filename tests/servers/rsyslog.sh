#!/usr/bin/env bash
# rsyslog: takes syslog (RFC 5424 and 3164; frames that begin with their length and frames that end with a line feed) over
# TCP and TLS, and appends each message to a file. Its packages are those of Debian 12, unpacked in the cache: the system
# stays as it is. Needs apt-get and openssl.
#
#   eval "$(tests/servers/rsyslog.sh start)"    # RSYSLOG_URL, RSYSLOG_TLS_URL; the CA is $RSYSLOG_CA
#   cat "$RSYSLOG_DIR/messages.jsonl"           # what came in by both
#   kill "$RSYSLOG_PID"
#
# A message may have 256 KiB here (8 KiB by default), and control characters stay what they are.

source "$(dirname "$0")/lib.sh"
VERSION=8.2302.0
PORTS=2

install() {
    cd "$1"
    mkdir -p lists/partial cache/archives/partial
    # Lists of its own: those of the machine may be none, or old, and only root may renew them.
    local apt=(within_time apt-get -o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache" -o Debug::NoLocking=1
        -o APT::Sandbox::User= -o Acquire::Languages=none)
    "${apt[@]}" update
    "${apt[@]}" download "rsyslog=$VERSION-*" "rsyslog-gnutls=$VERSION-*" libestr0 libfastjson4
    local package
    for package in *.deb; do dpkg-deb --extract "$package" .; done
    rm -rf -- *.deb lists cache
}

configuration() {
    cat <<END
global(workDirectory="$DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
    defaultNetstreamDriverCAFile="$DIR/ca.pem" defaultNetstreamDriverCertFile="$DIR/cert.pem"
    defaultNetstreamDriverKeyFile="$DIR/key.pem")
module(load="imtcp")
template(name="line" type="list" option.jsonf="on") {
    property(outname="facility" name="syslogfacility-text" format="jsonf")
    property(outname="severity" name="syslogseverity" format="jsonf")
    property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="process" name="procid" format="jsonf")
    property(outname="kind" name="msgid" format="jsonf")
    property(outname="structured" name="structured-data" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}
ruleset(name="keep") { action(type="omfile" file="$DIR/messages.jsonl" template="line") }
input(type="imtcp" address="127.0.0.1" port="$1" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="$(($1 + 1))" ruleset="keep"
    streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
syslog.* action(type="omfile" file="$DIR/server.log")
END
}

# Whether the server itself listens there; it says so nowhere, and stays alive where it does not.
listens() {
    local inode
    inode=$(awk -v at="$(printf '0100007F:%04X' "$1")" '$2 == at && $4 == "0A" { print $10 }' /proc/net/tcp)
    [ -n "$inode" ] && ls -l "/proc/$PID/fd" | grep -F "socket:[$inode]" >/dev/null
}

start() {
    certify "$DIR"
    touch "$DIR/messages.jsonl"
    configuration "$1" >"$DIR/rsyslog.conf"
    rm -f "$DIR/rsyslogd.pid"    # of one that was killed
    local libraries
    libraries=$(echo "$HOME_DIR"/usr/lib/*-linux-gnu)
    serve env LD_LIBRARY_PATH="$libraries" "$HOME_DIR/usr/sbin/rsyslogd" -n -f "$DIR/rsyslog.conf" \
        -i "$DIR/rsyslogd.pid" -M "$libraries/rsyslog"
    wait_until listens "$1" && wait_until listens "$(($1 + 1))" || return 1
    report URL="tcp://127.0.0.1:$1" TLS_URL="tls://127.0.0.1:$(($1 + 1))" CA="$DIR/ca.pem"
}

main "$@"
