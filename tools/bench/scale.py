#!/usr/bin/env python3
"""Measures a cluster of many real daemons on this machine: what each costs in quiet, and how long a new view takes.

    scale.py [--bin DIR] [--out FILE]

Environment: NODES=32 (4 to 64), PROFILE=lan, QUIET_S=10, REPS=3 (crashes of each kind).

All nodes share this machine's processors, so that view changes of many nodes are slower than on machines of their own,
and costs per node are what they are. The result is one object, format in tools/bench/README.md.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/system"))
from lab.namespaces import Lab  # noqa: E402
from lab.shell import LabError, boot_ns, run, wait_until  # noqa: E402
from lab.steal import CpuTime  # noqa: E402
from lab.vigil import Vigil, cluster_toml, cost_of  # noqa: E402

ADAPTERS = ("eth0", "eth2")
MAX_GROUPS = 32
VIEW_TIMEOUT_S = 60


def percentile(values, percent):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))]


def spread(values, digits=1):
    return {"p50": round(statistics.median(values), digits), "p99": round(percentile(values, 99), digits),
            "max": round(max(values), digits)}


def more_groups(names):
    """A group with one address for every other node, each at home on another one; the lab's own group is the first."""
    text = []
    for i in range(1, min(len(names) // 2, MAX_GROUPS)):
        order = names[i:] + names[:i]
        text += ["[[group]]", f'name = "web-{i}"', "nodes = [" + ", ".join(f'"{n}"' for n in order) + "]",
                 "fallback = false", "  [[group.address]]", f'  address = "10.77.100.{100 + i}/24"', '  network = "public"']
    return "\n".join(text) + "\n"


class Cluster:
    """Many nodes on two Ethernet segments, raw heartbeats on both."""

    def __init__(self, lab, profile):
        self.lab = lab
        self.vigil = Vigil(lab, profile)
        names = list(lab.nodes)
        self.vigil.config.write_text(cluster_toml(lab, profile, adapters=ADAPTERS, private_heartbeat="ethernet",
                                                  extra=more_groups(names)))

    def ask(self, nodes, question):
        """question(node) of each, some at a time; a list in the same order."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(question, nodes))

    def one_view(self, names):
        """True when these nodes, and no others, are one view that serves."""
        first = self.vigil.status(self.lab[names[0]])
        if first is None or set(first["members"]) != set(names):
            return False
        for status in self.ask([self.lab[n] for n in names], self.vigil.status):
            if status is None or not status["quorate"] or set(status["members"]) != set(names):
                return False
        return True

    def wait_one_view(self, names):
        if not wait_until(lambda: self.one_view(names), VIEW_TIMEOUT_S, every_s=0.2):
            raise LabError(f"{len(names)} nodes are no single view after {VIEW_TIMEOUT_S} s: see {self.lab.dir}")

    def journal(self, node, since_ns):
        """What this node wrote itself since then."""
        done = self.vigil.ctl(node, "events", "--json", "--last", "2000", check=False)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        return [e for e in entries if e["node_name"] == node.name and e["boot_ns"] >= since_ns]

    def traffic(self):
        """name -> (frames sent, bytes sent, frames received, bytes received), as the switch counts them."""
        ports = json.loads(run("ip", "-n", self.lab.switch, "-json", "-statistics", "link").stdout)
        found = {node.name: [0, 0, 0, 0] for node in self.lab}
        for port in ports:
            name, _, adapter = port["ifname"].rpartition("-")
            if name not in found or adapter not in ADAPTERS:
                continue
            ins, outs = port["stats64"]["rx"], port["stats64"]["tx"]
            for i, value in enumerate((ins["packets"], ins["bytes"], outs["packets"], outs["bytes"])):
                found[name][i] += value
        return found

    def lease_gaps(self):
        """Of each node, as far as it answers."""
        found = zip(self.lab.nodes, self.ask(list(self.lab), self.vigil.status))
        return {name: status["lease_gaps"] for name, status in found if status is not None}


def measure_quiet(cluster, seconds):
    nodes = list(cluster.lab)
    since, clock = boot_ns(), CpuTime()
    gaps = cluster.lease_gaps()
    before, costs, begun = cluster.traffic(), [cost_of(n) for n in nodes], time.monotonic()
    time.sleep(seconds)
    after, costs_after, took = cluster.traffic(), [cost_of(n) for n in nodes], time.monotonic() - begun
    steal = clock.since_start()
    delta = [[b - a for a, b in zip(before[n.name], after[n.name])] for n in nodes]
    false_views = sum(1 for e in cluster.journal(nodes[0], since) if e.get("view", {}).get("step") == "installed")
    return {
        "seconds": round(took, 1),
        "frames_sent_per_s": spread([d[0] / took for d in delta]),
        "bytes_sent_per_s": spread([d[1] / took for d in delta]),
        "frames_received_per_s": spread([d[2] / took for d in delta]),
        "bytes_received_per_s": spread([d[3] / took for d in delta]),
        "cpu_percent": spread([100 * (b.cpu_s - a.cpu_s) / took for a, b in zip(costs, costs_after)], 2),
        "us_per_frame": spread([1e6 * (b.cpu_s - a.cpu_s) / max(1, d[0] + d[2]) for a, b, d in zip(costs, costs_after, delta)],
                               2),
        "wake_ups_per_s": spread([(b.wake_ups - a.wake_ups) / took for a, b in zip(costs, costs_after)]),
        "resident_mb": spread([c.resident_kb / 1024 for c in costs_after]),
        "false_views": false_views,
        "lease_gaps": sum(count - gaps[name] for name, count in cluster.lease_gaps().items() if name in gaps),
        **steal,
    }


def measure_crash(cluster, victim):
    """One node loses its power; milliseconds from then, by the survivors' own journals."""
    clock = CpuTime()
    survivors = [n for n in cluster.lab.nodes if n != victim]
    since = boot_ns()
    cluster.lab[victim].crash()
    cluster.wait_one_view(survivors)
    steal = clock.since_start()
    accused, installed = [], []
    for entries in cluster.ask([cluster.lab[n] for n in survivors], lambda node: cluster.journal(node, since)):
        accused += [e["boot_ns"] for e in entries if e["kind"] == "accused" and e.get("subject_name") == victim]
        views = [e["boot_ns"] for e in entries if e.get("view", {}).get("step") == "installed"]
        if views:
            installed.append(max(views))
    cluster.vigil.recover_node(cluster.lab[victim])
    cluster.wait_one_view(list(cluster.lab.nodes))
    if len(installed) < len(survivors) or not accused:
        raise LabError(f"{len(installed)} of {len(survivors)} survivors tell of a view without {victim}")
    detect = (min(accused) - since) / 1e6
    return {"detect_ms": round(detect, 1), "view_p50_ms": round((statistics.median(installed) - since) / 1e6, 1),
            "view_last_ms": round((max(installed) - since) / 1e6, 1),
            "beyond_detection_ms": round((max(installed) - min(accused)) / 1e6, 1), **steal}


def coordinator_of(cluster):
    return cluster.vigil.status(next(iter(cluster.lab)))["coordinator"]


def measure(bin_dir, nodes, profile, quiet_s, reps):
    names = [f"n{i + 1:02}" for i in range(nodes)]
    begun = time.monotonic()
    with Lab(bin_dir, names=names, serial=False) as lab:
        built = time.monotonic() - begun
        cluster = Cluster(lab, profile)
        begun = time.monotonic()
        cluster.vigil.start()
        cluster.wait_one_view(names)
        result = {"nodes": nodes, "profile": profile, "groups": min(max(nodes // 2, 1), MAX_GROUPS),
                  "lab_s": round(built, 1), "one_view_s": round(time.monotonic() - begun, 1)}
        print(f"{nodes} nodes: lab built in {built:.1f} s, one view {result['one_view_s']:.1f} s after the first start", flush=True)
        time.sleep(2)
        result["quiet"] = measure_quiet(cluster, quiet_s)
        tell_quiet(result["quiet"])
        dice = random.Random(1)
        result["crashes"] = []
        for what in ("member", "coordinator"):
            for _ in range(reps):
                leader = coordinator_of(cluster)
                victim = leader if what == "coordinator" else dice.choice([n for n in names if n != leader])
                one = {"of": what, **measure_crash(cluster, victim)}
                result["crashes"].append(one)
                tell_crash(one)
    return result


def tell_quiet(quiet):
    print(f"in quiet, per node, over {quiet['seconds']} s (steal {quiet['steal_percent']} %, machine busy "
          f"{quiet['busy_percent']} %):\n{'':24}{'p50':>12}{'p99':>12}{'max':>12}")
    for name, value in quiet.items():
        if isinstance(value, dict):
            print(f"  {name:22}{value['p50']:12.1f}{value['p99']:12.1f}{value['max']:12.1f}")
    print(f"  false views {quiet['false_views']}, lease gaps {quiet['lease_gaps']}", flush=True)


def tell_crash(one):
    print(f"crash of the {one['of']:11}: suspected after {one['detect_ms']:6.1f} ms, a new view on the median survivor after "
          f"{one['view_p50_ms']:6.1f} ms, on the last after {one['view_last_ms']:6.1f} ms: {one['beyond_detection_ms']:6.1f} ms "
          f"beyond detection (steal {one['steal_percent']} %)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--out", default="build/bench/scale.json")
    options = parser.parse_args()
    nodes = int(os.environ.get("NODES", "32"))
    if not 4 <= nodes <= 64:
        sys.exit("bench-scale: NODES is from 4 to 64")
    try:
        result = measure(options.bin, nodes, os.environ.get("PROFILE", "lan"), float(os.environ.get("QUIET_S", "10")),
                         int(os.environ.get("REPS", "3")))
    except (LabError, subprocess.SubprocessError) as error:
        sys.exit(f"bench-scale: {error}")
    out = pathlib.Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
