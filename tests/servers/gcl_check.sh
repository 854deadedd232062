#!/usr/bin/env bash
# Google Cloud Logging, as far as it can be had: no server, but whether it could take the body of an entries:write request.
# Parsed by Google's own protobuf types, then held against the limits that Google states. Needs Python 3 with venv.
#
#   tests/servers/gcl_check.sh <body.json      # `ok N entries`; or what is wrong, a line each, and exit code 1
#   tests/servers/gcl_check.sh install         # installs only
#
# Integers in jsonPayload are doubles there: above 2^53 they lose digits, and nothing says so.

source "$(dirname "$0")/lib.sh"
VERSION=3.17.0

# A virtual environment cannot be moved, so the packages go into a plain directory.
install() {
    within_time python3 -m venv "$1/pip"
    within_time "$1/pip/bin/python" -m pip install --quiet --disable-pip-version-check --target "$1/packages" \
        "google-cloud-logging==$VERSION"
    rm -rf "$1/pip"
}

install_once
[ "${1:-}" = install ] || PYTHONPATH=$HOME_DIR/packages exec python3 -B "$HERE/gcl_check/check.py"
