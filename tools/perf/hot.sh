#!/bin/sh
# Where vigild spends processor time: hot.sh PID [SECONDS]
set -eu
. "$(dirname "$0")/common.sh"
need perf
data=$(mktemp)
trap 'rm -f "$data"' EXIT
event=cycles
perf stat -e cycles -- true 2>&1 | grep -q 'not supported' && event=cpu-clock
perf record -q -e "$event" -F 997 -g -p "$pid" -o "$data" -- sleep "$seconds"
perf report -i "$data" --stdio --no-children -g caller,0.5,callee --percent-limit 1 | grep -v '^#' | head -80
