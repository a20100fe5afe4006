#!/bin/sh
# What wakes the loop of vigild, and what each wake-up costs: wakes.sh PID [SECONDS]
set -eu
. "$(dirname "$0")/common.sh"
need_tracing
spent() { awk '{ print $1 }' "/proc/$pid/task/$pid/schedstat"; }
slept() { awk '/^voluntary/ { print $2 }' "/proc/$pid/task/$pid/status"; }
# First undisturbed: probes cost more than what they look at.
cpu=$(spent) wakes=$(slept)
sleep "$seconds"
awk -v ns=$(($(spent) - cpu)) -v wakes=$(($(slept) - wakes)) -v s="$seconds" 'BEGIN {
  printf "%.1f wake-ups a second, %.1f us each, %.2f %% of a core\n", wakes / s, ns / 1000 / (wakes ? wakes : 1), ns / s / 1e7 }'
exec bpftrace -p "$pid" -e "
  usdt:$program:vigil:loop_wake { @by[arg2 >= arg1 ? \"deadline\" : \"what came\"] = count(); @slept_us = hist((arg2 - arg0) / 1000); }
  usdt:$program:vigil:loop_done { @handler_calls = lhist(arg0, 0, 32, 2); }
  usdt:$program:vigil:heartbeat_sent { @sent_by_link[arg0] = count(); }
  usdt:$program:vigil:heartbeat_received { @heard_node_by_link[arg0, arg1] = count(); }
  interval:s:$seconds { exit(); }"
