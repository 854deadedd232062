# What the scripts of real stores share. A script sources this file, sets VERSION, defines `install DIR` and
# `start PORT`, and ends with `main "$@"`.
#
#   eval "$(tests/servers/NAME.sh start)"    installs if need be, starts, waits until ready; sets NAME_URL, _PID, _DIR
#   kill "$NAME_PID"                         ends it; its data go with it
#   tests/servers/NAME.sh install            installs only
#
# SERVERS_CACHE    where installed stores are kept                           (~/.cache/logchute/servers)
# SERVERS_TTL      seconds after which a store that nobody ended is ended    (1800)
#
# Needs bash 5.1, coreutils and what the script itself names. Any user may run it.

set -euo pipefail

NAME=$(basename "$0" .sh)
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${SERVERS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/logchute/servers}
TTL=${SERVERS_TTL:-1800}
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

# build_go PACKAGE OUTPUT: builds by the go.mod and go.sum of this store, and leaves nothing but the binary.
build_go() {
    local work status=0
    work=$(mktemp -d)
    GOPATH=$work/path GOCACHE=$work/cache GOFLAGS=-modcacherw GOWORK=off CGO_ENABLED=0 timeout "$INSTALL_WITHIN" \
        go build -C "$HERE/$NAME" -trimpath -buildvcs=false -ldflags='-s -w' -o "$2" "$1" || status=$?
    rm -rf "$work"
    return "$status"
}

# serve COMMAND...: runs the store in the background and sets PID. Its parent is a shell that outlives this script: it
# ends the store when its time is up, and removes its directory once it is gone.
serve() {
    (
        trap '' HUP INT
        "$@" >"$DIR/server.log" 2>&1 </dev/null &
        store=$!
        sleep "$TTL" &
        alarm=$!
        echo "$store" >"$DIR/.pid" && mv "$DIR/.pid" "$DIR/pid"
        wait -n -p ended "$store" "$alarm" || true
        if [ "$ended" = "$store" ]; then kill "$alarm"; else kill "$store"; fi || true
        wait
        while kill -0 $$; do sleep 0.1; done    # the script may still want to show the log
        rm -rf "$DIR"
    ) >/dev/null 2>&1 </dev/null &
    until [ -s "$DIR/pid" ]; do sleep 0.02; done
    PID=$(<"$DIR/pid")
}

# logged TEXT: whether the store's own log says so. An answer on its port would prove nothing: another store may have it.
logged() { grep -qF "$1" "$DIR/server.log"; }

# wait_until COMMAND...: returns once COMMAND succeeds; returns 1 when the store died before, its port having been taken.
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

# Starts on a port below those that the kernel hands out, and on another one where that was taken.
start_somewhere() {
    local port
    for _ in {1..5}; do
        DIR=$(mktemp -d "${TMPDIR:-/tmp}/logchute-$NAME.XXXXXX")
        port=$((20000 + RANDOM % 12000))
        ! start "$port" || return 0
    done
    tail -20 "$DIR/server.log" >&2 || true
    die "died while it started"
}

# report KEY=VALUE...: prints the lines to eval, each key with the store's name before it.
report() {
    local line
    for line in "$@" "PID=$PID" "DIR=$DIR"; do printf '%s_%s=%q\n' "${NAME^^}" "${line%%=*}" "${line#*=}"; done
}

main() {
    case ${1:-} in
        install) install_once ;;
        start) install_once; start_somewhere ;;
        *) die "usage: $0 install|start" ;;
    esac
}
