# What the scripts of real servers share. A script sources this file, sets VERSION and the number of PORTS that it needs,
# defines `install DIR` and `start PORT`, and ends with `main "$@"`.
#
#   eval "$(tests/servers/NAME.sh start)"    installs if need be, starts, waits until ready; sets NAME_URL, _PORT (the
#                                            # first of its ports), _PID, _DIR
#   kill "$NAME_PID"                         ends it; its data go with it
#   tests/servers/NAME.sh install            installs only
#
# SERVERS_CACHE    where installed servers are kept                            (~/.cache/logchute/servers)
# SERVERS_TTL      seconds after which a server that nobody ended is ended     (1800)
# SERVERS_DIR      directory for data and server.log, kept when it has ended   (a temporary one, removed)
# SERVERS_PORT     the first of the ports that follow each other               (free ones are looked for)
#
# With the last two, a server that was ended or killed comes back at the same address with its data.
#
# Needs bash 5.1, coreutils and what the script itself names. Any user may run it.

set -euo pipefail

NAME=$(basename "$0" .sh)
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${SERVERS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/logchute/servers}
TTL=${SERVERS_TTL:-1800}
PORTS=1
INSTALL_WITHIN=900
READY_WITHIN=60

say() { echo "$NAME: $*" >&2; }
die() { say "$*"; exit 1; }

# Leaves the installed version in $HOME_DIR. It appears there by one rename, so that a half-made one is never used, and
# of two scripts that install at once the later one merely wasted its time.
install_once() {
    HOME_DIR=$CACHE/$NAME-$VERSION
    [ ! -d "$HOME_DIR" ] || return 0
    mkdir -p "$CACHE"
    local part
    part=$(mktemp -d "$CACHE/.$NAME.XXXXXX")
    say "installing $VERSION"
    install "$part" >"$part/install.log" 2>&1 &    # as a job, so that `set -e` holds in it
    if ! wait $!; then
        tail -20 "$part/install.log" >&2
        rm -rf "$part"
        die "was not installed"
    fi
    mv -T "$part" "$HOME_DIR" 2>/dev/null || rm -rf "$part"
    [ -d "$HOME_DIR" ] || die "was not installed in $CACHE"
}

# within_time COMMAND...: for what asks a package registry.
within_time() { timeout -k 10 "$INSTALL_WITHIN" "$@"; }

# build_go PACKAGE OUTPUT: builds by the go.mod and go.sum of this server, and leaves nothing but the binary.
build_go() {
    local work status=0
    work=$(mktemp -d)
    GOPATH=$work/path GOCACHE=$work/cache GOFLAGS=-modcacherw GOWORK=off CGO_ENABLED=0 within_time \
        go build -C "$HERE/$NAME" -trimpath -buildvcs=false -ldflags='-s -w' -o "$2" "$1" || status=$?
    rm -rf "$work"
    return "$status"
}

# certify DIR: leaves there, once, ca.pem, and cert.pem with key.pem for localhost and 127.0.0.1, all good for 30 days.
certify() {
    [ ! -s "$1/cert.pem" ] || return 0
    {
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=logchute tests CA' \
            -keyout "$1/ca.key" -out "$1/ca.pem"
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1/key.pem" -out "$1/request.pem"
        openssl x509 -req -in "$1/request.pem" -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial 1 -days 30 -out "$1/cert.pem" \
            -extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1')
    } >"$1/openssl.log" 2>&1 || { cat "$1/openssl.log" >&2; die "no certificate"; }
}

# serve COMMAND...: runs the server in the background and sets PID. Its parent is a shell that outlives this script: it
# ends the server when its time is up, and removes its directory once it is gone.
serve() {
    rm -f "$DIR/pid"
    (
        trap '' HUP INT
        "$@" >>"$DIR/server.log" 2>&1 </dev/null &
        server=$!
        sleep "$TTL" &
        alarm=$!
        echo "$server" >"$DIR/.pid" && mv "$DIR/.pid" "$DIR/pid"
        wait -n -p ended "$server" "$alarm" || true
        if [ "$ended" = "$alarm" ]; then
            kill "$server"
            sleep 10 &
            alarm=$!
            wait -n -p ended "$server" "$alarm" || true
        fi
        if [ "$ended" = "$server" ]; then kill "$alarm"; else kill -9 "$server"; fi || true
        wait
        while kill -0 $$; do sleep 0.1; done    # the script may still want to show the log
        [ -n "${SERVERS_DIR:-}" ] || rm -rf "$DIR"
    ) >/dev/null 2>&1 </dev/null &
    until [ -s "$DIR/pid" ]; do sleep 0.02; done
    PID=$(<"$DIR/pid")
}

# taken PORT: whether anything listens there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# all_free PORT: whether that one, and those after it that this server needs, are free.
all_free() {
    local port
    for ((port = $1; port < $1 + PORTS; port++)); do ! taken "$port" || return 1; done
}

# logged TEXT: whether the server's own log says so, at this start. An answer on its port would prove nothing: another
# server may have it.
logged() { tail -c +$((LOG_BEGINS + 1)) "$DIR/server.log" | grep -F "$1" >/dev/null; }

# wait_until COMMAND...: returns once COMMAND succeeds; returns 1 when the server died before, its port having been taken.
wait_until() {
    local deadline=$((SECONDS + READY_WITHIN))
    until "$@"; do
        kill -0 "$PID" 2>/dev/null || return 1
        if ((SECONDS >= deadline)); then
            tail -20 "$DIR/server.log" >&2
            kill "$PID"
            die "not ready after $READY_WITHIN s"
        fi
        sleep 0.05
    done
}

# try PORT: starts there. On a port that is asked for, the server that had it may still be on its way out.
try() {
    mkdir -p "$DIR"
    touch "$DIR/server.log"
    LOG_BEGINS=$(stat -c %s "$DIR/server.log")
    for _ in {1..100}; do
        ! all_free "$1" || break
        [ -n "${SERVERS_PORT:-}" ] || return 1
        sleep 0.1
    done
    PORT=$1
    start "$1"
}

# Starts on ports below those that the kernel hands out, and on other ones where one of them was taken.
start_somewhere() {
    for _ in {1..10}; do
        DIR=${SERVERS_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/logchute-$NAME.XXXXXX")}
        ! try "${SERVERS_PORT:-$((20000 + RANDOM % 12000))}" || return 0
        [ -z "${SERVERS_PORT:-}" ] || break
    done
    tail -20 "$DIR/server.log" >&2 || true
    die "died while it started"
}

# report KEY=VALUE...: prints the lines to eval, each key with the server's name before it.
report() {
    local line
    for line in "$@" "PORT=$PORT" "PID=$PID" "DIR=$DIR"; do printf '%s_%s=%q\n' "${NAME^^}" "${line%%=*}" "${line#*=}"; done
}

main() {
    case ${1:-} in
        install) install_once ;;
        start) install_once; start_somewhere ;;
        *) die "usage: $0 install|start" ;;
    esac
}
