#!/usr/bin/env bash
# Instructions that one call costs the thread that logs, by callgrind: the same on a busy machine as on a quiet one.
#
#   benches/instructions.sh             # all cases of benches/emit.rs that have one thread
#   benches/instructions.sh logs span   # some
#   KEEP=1 benches/instructions.sh logs # leaves the profile, for callgrind_annotate
#
# A thousand calls each. What the worker does is not counted. Last numbers: see benches/emit.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(cargo bench --bench emit --no-run 2>&1 | sed -n 's/.*Executable benches\/emit\.rs (\(.*\))$/\1/p')
[ -x "$program" ] || { echo "benches/emit.rs does not build" >&2; exit 1; }
profile=$(mktemp -d)
[ -n "${KEEP:-}" ] || trap 'rm -rf "$profile"' EXIT

printf '%-16s %12s   %s\n' case instructions ''
COUNT=list "$program" | while IFS=$'\t' read -r name function shown; do
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    # The name in the binary carries its path: of the module `support`, or of the benchmark itself.
    log=$(COUNT=$name valgrind --tool=callgrind --callgrind-out-file="$profile/$name" \
        --toggle-collect="emit::*$function" "$program" 2>&1) || { echo "$log" >&2; exit 1; }
    collected=$(sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' <<<"$log")
    printf '%-16s %12s   %s\n' "$name" "$((collected / 1000))" "$shown"
done
[ -z "${KEEP:-}" ] || echo "$profile"
