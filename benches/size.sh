#!/usr/bin/env bash
# What the dependency itself costs: crates, build time, bytes in a binary.
#
#   benches/size.sh                # about five minutes on two cores; it builds from nothing four times
#   BUILDS=no benches/size.sh      # only counts crates
#
# Crates: `cargo tree -e normal`, unique names and versions, logchute itself included. Build: a clean release build of a program
# that prints one line, and of the same program that logs it through logchute; downloads are done before. Bytes: those programs,
# stripped. They stand in a directory of their own and use the versions of our Cargo.lock.
#
# Last numbers:
# <!-- size -->
# 2026-11-24, a quiet virtual machine with 2 cores of an AMD EPYC, rustc 1.95:
#                     crates   build s       bytes       added
# nothing                  0       0.3      343408           0
# tracing-alone           14       4.3      410176       66768
# without-tls             97      38.9     2927256     2583848
# default-features       110      53.0     4773104     4429696
# <!-- /size -->
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

program() { # name, dependency lines, source
    mkdir -p "$place/$1/src"
    printf '[workspace]\n[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n[profile.release]\nstrip = true\n[dependencies]\n%s\n' \
        "$1" "$2" >"$place/$1/Cargo.toml"
    printf '%s\n' "$3" >"$place/$1/src/main.rs"
    [ -z "$2" ] || cp Cargo.lock "$place/$1/"
}

crates() { # of one program, without the program itself
    (cd "$place/$1" && cargo tree -q -e normal --prefix none --no-dedupe | sed 's/ (.*//' | sort -u | grep -vc "^$1 ") || true
}

tracing='tracing = "0.1"
tracing-subscriber = { version = "0.3", default-features = false, features = ["registry", "std"] }'
hello='fn main() { println!("order placed"); }'
logs='fn main() {
    let logs = logchute::Builder::new().send_to(logchute::backend::Loki::new("http://localhost:3100")).start().unwrap();
    logs.install(tracing_subscriber::registry()).unwrap();
    tracing::info!("order placed");
}'
program nothing '' "$hello"
program tracing-alone "$tracing" 'fn main() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    tracing::info!("order placed");
}'
program without-tls "logchute = { path = \"$here\", default-features = false }
$tracing" "$logs"
program default-features "logchute = { path = \"$here\" }
$tracing" "$logs"

printf '%-18s %7s %9s %11s %11s\n' '' crates 'build s' 'bytes' 'added'
base=0
for name in nothing tracing-alone without-tls default-features; do
    (cd "$place/$name" && cargo fetch -q)
    count=$(crates "$name")
    if [ "${BUILDS:-yes}" = no ]; then
        printf '%-18s %7s\n' "$name" "$count"
        continue
    fi
    begun=$(date +%s.%N)
    (cd "$place/$name" && CARGO_TARGET_DIR=target cargo build -q --release)
    took=$(awk -v begun="$begun" -v ended="$(date +%s.%N)" 'BEGIN { print ended - begun }')
    bytes=$(stat -c %s "$place/$name/target/release/$name")
    [ "$base" != 0 ] || base=$bytes
    printf '%-18s %7s %9.1f %11s %11s\n' "$name" "$count" "$took" "$bytes" "$((bytes - base))"
done
