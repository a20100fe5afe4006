#!/bin/sh
# Runs bench-heartbeat in a network namespace of its own with a veth pair: heartbeat.sh [BUILD]
# QUICK=1 shortens it. Leaves nothing behind but BUILD/bench/heartbeat.json.
set -eu
build=${1:-build}
if [ "$(id -u)" != 0 ]; then
  echo "bench-heartbeat: needs root for a network namespace and real time; run it with sudo" >&2
  exit 1
fi
space=vigil-heartbeat-$$
trap 'ip netns del "$space" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$build/bench"
ip netns add "$space"
# Different interface indexes come by themselves: both ends live in one namespace.
ip -n "$space" link add near type veth peer name far
ip -n "$space" link set near up
ip -n "$space" link set far up
ip netns exec "$space" "$build/bin/bench-heartbeat" --near near --far far --out "$build/bench/heartbeat.json"
