# Read by the scripts beside it: which process, for how long, and what a look at it needs.
pid=${1:?usage: $(basename "$0") PID [SECONDS]}
seconds=${2:-10}
program=$(readlink "/proc/$pid/exe") || { echo "$0: there is no process $pid; try: pgrep vigild" >&2; exit 1; }
need() { command -v "$1" > /dev/null || { echo "$0: $1 is not installed; run: make deps-dev" >&2; exit 1; }; }
need_tracing() {
  need bpftrace
  [ -e /sys/kernel/tracing/events ] && return
  echo "$0: tracefs is not mounted; run: mount -t tracefs tracefs /sys/kernel/tracing" >&2
  exit 1
}
