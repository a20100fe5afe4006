#!/bin/sh
# Prints each step of vigild as it happens, with the microseconds since the one before: steps.sh PID [SECONDS]
set -eu
. "$(dirname "$0")/common.sh"
need_tracing
seconds=${2:-30}
exec bpftrace -p "$pid" -e "
  BEGIN { printf(\"%12s %12s  %s\n\", \"us\", \"since\", \"step\"); @last = nsecs; @begin = nsecs; }
  usdt:$program:vigil:message_sent    { printf(\"%12d %12d  message of kind %d to node %d\n\", (nsecs - @begin) / 1000, (nsecs - @last) / 1000, arg1, arg0 + 1); @last = nsecs; }
  usdt:$program:vigil:journal         { printf(\"%12d %12d  journal: event %d, kind %d, took %d us\n\", (nsecs - @begin) / 1000, (nsecs - @last) / 1000, arg0, arg1, (int64)arg2); @last = nsecs; }
  usdt:$program:vigil:address_add     { printf(\"%12d %12d  address %d of group %d: gate, add, announce\n\", (nsecs - @begin) / 1000, (nsecs - @last) / 1000, arg1, arg0); @last = nsecs; }
  usdt:$program:vigil:address_added   { printf(\"%12d %12d  address %d of group %d: answers\n\", (nsecs - @begin) / 1000, (nsecs - @last) / 1000, arg1, arg0); @last = nsecs; }
  usdt:$program:vigil:address_removed { printf(\"%12d %12d  address %d of group %d: gone\n\", (nsecs - @begin) / 1000, (nsecs - @last) / 1000, arg1, arg0); @last = nsecs; }
  interval:s:$seconds { exit(); }
  END { clear(@last); clear(@begin); }"
