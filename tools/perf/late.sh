#!/bin/sh
# How late the loop of vigild wakes behind its deadline, in microseconds: late.sh PID [SECONDS]
set -eu
. "$(dirname "$0")/common.sh"
need_tracing
exec bpftrace -p "$pid" -e "
  usdt:$program:vigil:loop_wake /arg1 < 0x7fffffffffffffff && arg2 > arg1/ { @late_us = hist((arg2 - arg1) / 1000); }
  tracepoint:sched:sched_switch /args->next_pid == $pid/ { @ran_before[args->prev_comm] = count(); }
  interval:s:$seconds { exit(); }"
