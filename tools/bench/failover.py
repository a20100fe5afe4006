#!/usr/bin/env python3
"""Measures the outage that a client sees, for each fault, profile and load; beside keepalived with PEERS=1.

    failover.py [--bin DIR] [--out FILE]

Environment: QUICK=1 (a few minutes), PEERS=1 (keepalived too), REPS=N, SYSTEMS=vigil,keepalived,
PROFILES=lan,fast, FAULTS=crash,…, LOADS=idle,stress, WINDOW_S=N (length of all false-alarm windows of one system),
REPS_SLOW=N (for keepalived's variants whose takeover takes seconds; 10).

The file is written after every case, so that what was measured is kept when a run is stopped.

The result is a list with one object a case, format in tools/bench/README.md; false alarms are counted
in windows without a fault, in turns between the systems, so that a bad minute of the machine hits all.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/system"))
from lab.client import Probe  # noqa: E402
from lab.keepalived import VARIANTS, Keepalived  # noqa: E402
from lab.namespaces import SERVICE_ADDRESS, Lab  # noqa: E402
from lab.shell import LabError, boot_ns, wait_until  # noqa: E402
from lab.steal import CpuTime  # noqa: E402
from lab.vigil import Vigil  # noqa: E402

QUICK = os.environ.get("QUICK") == "1"
FAULTS = ("crash", "freeze", "adapter", "one_way", "graceful")
PROFILES = ("lan", "fast", "realtime")
RETURN_TIMEOUT_S = 20


def chosen(name, everything):
    """The environment's choice, in our order; everything when it is silent."""
    wanted = os.environ.get(name)
    return [e for e in everything if e in wanted.split(",")] if wanted else list(everything)


class Load:
    """stress-ng on the host while a case runs; ends by itself after an hour at the latest."""

    def __init__(self, kind):
        self.kind = kind
        self.process = None

    def __enter__(self):
        if self.kind == "stress":
            self.process = subprocess.Popen(
                ["stress-ng", "--cpu", "2", "--vm", "1", "--vm-bytes", "128M", "--timeout", "3600", "--quiet"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1)
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


def percentile(values, percent):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))]


def start_responders(lab):
    for node in lab:
        start_responder(node)


def start_responder(node):
    node.spawn(str(node.lab.bin / "echod"), "--name", node.name, log="echod.log")


def inject(system, lab, fault, owner):
    node = lab[owner]
    if fault == "crash":
        node.crash()
    elif fault == "freeze":
        node.freeze()
    elif fault == "adapter":
        node.cut(node.addresses()[SERVICE_ADDRESS])
    elif fault == "one_way":
        node.cut_one_way(node.addresses()[SERVICE_ADDRESS], "out")
    else:
        system.graceful(owner)


def recover(system, lab, fault, owner):
    node = lab[owner]
    if fault == "crash":
        system.recover_node(node)
        start_responder(node)
    elif fault == "freeze":
        node.thaw()
    elif fault in ("adapter", "one_way"):
        node.heal()
    else:
        system.after_graceful(owner)


def wait_served(probe, since_ns, settle_s):
    """Waits until the address answers again after the fault, and went on for settle_s; the picture then."""
    def back():
        picture = probe.snapshot()
        if not picture.runs:
            return None
        late = [o for o in picture.outages_between(since_ns) if o["to"] is None]
        return None if late or picture.now_ns - picture.runs[-1]["end_ns"] > 20_000_000 else picture

    time.sleep(settle_s)
    if wait_until(back, RETURN_TIMEOUT_S, every_s=0.05) is None:
        return None
    time.sleep(settle_s)
    return wait_until(back, RETURN_TIMEOUT_S, every_s=0.05)


def one_repetition(system, lab, probe, fault):
    """(outage in ms or None when it did not come back, budget, what is to be told of servers in turns)."""
    system.wait_healthy()
    owner = wait_until(system.owner, 10)
    if owner is None:
        raise LabError("nobody, or more than one node, has the address")
    generation = system.generation()
    since = boot_ns()
    inject(system, lab, fault, owner)
    picture = wait_served(probe, since, 4.0 if is_slow(system.name, system.profile) else 0.4)
    # A swap within the node is no takeover: the newest account is of an earlier one.
    budget = system.budget(owner) if picture and system.generation() != generation else {}
    recover(system, lab, fault, owner)
    if picture is None:
        return None, {}, []
    time.sleep(0.1)
    told = []
    last = probe.snapshot()
    if [v for v in last.violations if v["end_ns"] >= since]:
        # In milliseconds from the fault: who answered from when to when, and what the system says of it.
        told = [{"server": r["server"], "from_ms": (r["start_ns"] - since) / 1e6, "to_ms": (r["end_ns"] - since) / 1e6}
                for r in last.runs if r["end_ns"] >= since - 2_000_000_000]
        told.append({"owner_before": owner, "late_answers": last.raw["late"], "story": system.story()[-300:]})
    return picture.outage_ms(since), budget, told


def measure_case(system, lab, probe, fault, load, reps):
    """One object of the result."""
    outages, budgets, violations, lost = [], [], [], 0
    cpu = CpuTime()
    for _ in range(reps):
        outage, budget, seen = one_repetition(system, lab, probe, fault)
        if seen:
            violations.append(seen)
        if outage is None:
            lost += 1
            continue
        outages.append(outage)
        if budget:
            budgets.append(budget)
    case = {"system": system.name, "profile": system.profile, "fault": fault, "load": load, "reps": len(outages),
            "not_back": lost, "outage_ms": None, "budget_ms": {}, "spurious": 0, "two_served": len(violations),
            "two_served_told": violations, **cpu.since_start()}
    if outages:
        case["outage_ms"] = {"min": min(outages), "p50": percentile(outages, 50), "p99": percentile(outages, 99),
                             "max": max(outages)}
    for part in budgets[0] if budgets else ():
        case["budget_ms"][part] = statistics.median(b[part] for b in budgets)
    return case


def make_lab(bin_dir, profile):
    """A serial line carries a frame in 17 ms: it is evidence for `lan`, and only in the way of the faster profiles."""
    return Lab(bin_dir, serial=profile == "lan")


def make_system(lab, name, profile):
    return Vigil(lab, profile) if name == "vigil" else Keepalived(lab, profile)


def show(case):
    outage = case["outage_ms"]
    figures = "no outage measured" if outage is None else \
        f"p50 {outage['p50']:8.1f}  p99 {outage['p99']:8.1f}  max {outage['max']:8.1f} ms"
    print(f"{case['system']:<11} {case['profile']:<9} {case['fault']:<9} {case['load']:<7} {case['reps']:>3} x  {figures}"
          f"  steal {case['steal_percent']} %" + (f"  NOT BACK {case['not_back']}" if case["not_back"] else "") +
          (f"  TWO SERVED {case['two_served']}" if case["two_served"] else ""), flush=True)


def is_slow(name, profile):
    """A repetition takes ten seconds, and all of them say much the same."""
    return name == "keepalived" and profile != "10ms"


def write(cases, out):
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(cases, indent=1) + "\n")


def measure_until_one_breaks(bin_dir, name, profile, load, faults, count, keep, problems):
    """These faults in one laboratory; those that are left when one of them could not be measured."""
    with make_lab(bin_dir, profile) as lab, Load(load):
        system = make_system(lab, name, profile)
        system.start()
        start_responders(lab)
        probe = Probe(lab, limit_s=7200)
        for i, fault in enumerate(faults):
            try:
                keep(measure_case(system, lab, probe, fault, load, count))
            except (LabError, TimeoutError) as error:
                problems.append(f"{name} {profile} {fault} {load}: {error}")
                print(f"  {problems[-1]}", flush=True)
                return faults[i + 1:]
    return []


def measure_faults(bin_dir, systems, loads, reps, reps_slow, out, cases, problems):
    """Every fault for every system; after one that cannot be measured it goes on in a new laboratory."""
    def keep(case):
        cases.append(case)
        show(case)
        write(cases, out)

    for load in loads:
        for name, profile in systems:
            count = min(reps, reps_slow) if is_slow(name, profile) else reps
            left = chosen("FAULTS", FAULTS)
            while left:
                left = measure_until_one_breaks(bin_dir, name, profile, load, left, count, keep, problems)


def measure_false_alarms(bin_dir, systems, cases, total_s):
    """Windows without a fault under stress, in turns: outages that nobody's failure caused."""
    rounds = 2 if QUICK else 10
    seen = {system: {"alarms": 0, "seconds": 0.0, "windows": []} for system in systems}
    with Load("stress"):
        for _ in range(rounds):
            for name, profile in systems:
                window = false_alarm_window(bin_dir, name, profile, total_s / rounds)
                record = seen[(name, profile)]
                record["alarms"] += window["spurious"]
                record["seconds"] += window["seconds"]
                record["windows"].append(window)
    for (name, profile), record in seen.items():
        cases.append({"system": name, "profile": profile, "fault": "none", "load": "stress",
                      "reps": len(record["windows"]), "outage_ms": None, "budget_ms": {},
                      "spurious": record["alarms"], "seconds": round(record["seconds"], 1),
                      "windows": record["windows"]})
        steal = statistics.median(w["steal_percent"] for w in record["windows"])
        print(f"{name:<11} {profile:<9} false alarms: {record['alarms']} in {record['seconds']:.0f} s of stress, "
              f"steal {steal} % (median of windows)", flush=True)


def false_alarm_window(bin_dir, name, profile, seconds):
    with make_lab(bin_dir, profile) as lab:
        system = make_system(lab, name, profile)
        system.start()
        start_responders(lab)
        system.wait_healthy()
        probe = Probe(lab, limit_s=int(seconds) + 60, min_lost=3)
        wait_until(probe.serving, 10, every_s=0.1)
        time.sleep(1)
        owner, cpu, since = system.owner(), CpuTime(), boot_ns()
        time.sleep(seconds)
        picture = probe.finish()
        # A change of owner or two servers is an alarm; so is an outage, whatever its cause.
        alarms = max(len(picture.outages_between(since)), len(picture.servers_between(since)) - 1)
        spurious = max(alarms, int(system.owner() != owner))
        return {"spurious": spurious, "seconds": seconds, **cpu.since_start(),
                "told": system.story() if spurious else [],
                "outages_ms": [round(o["length_ms"], 1) for o in picture.outages_between(since)],
                "worst_probe_late_ms": picture.raw["worst_probe_late_ms"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", help="where the programs are")
    parser.add_argument("--out", default="build/bench/failover.json")
    arguments = parser.parse_args()
    default_systems = ["vigil"] + (["keepalived"] if os.environ.get("PEERS") == "1" else [])
    names = chosen("SYSTEMS", ("vigil", "keepalived")) if os.environ.get("SYSTEMS") else default_systems
    systems = [("vigil", p) for p in chosen("PROFILES", PROFILES)] if "vigil" in names else []
    systems += [("keepalived", v) for v in chosen("VARIANTS", VARIANTS)] if "keepalived" in names else []
    if "keepalived" in names and shutil.which("keepalived") is None:
        sys.exit("keepalived is not installed; run: make deps-bench")
    loads = chosen("LOADS", ("idle",) if QUICK else ("idle", "stress"))
    reps = int(os.environ.get("REPS", "5" if QUICK else "30"))
    cases, problems = [], []
    out = pathlib.Path(arguments.out)
    reps_slow = int(os.environ.get("REPS_SLOW", "10"))
    measure_faults(arguments.bin, systems, loads, reps, reps_slow, out, cases, problems)
    window_s = float(os.environ.get("WINDOW_S", "20" if QUICK else "600"))
    if window_s > 0:
        measure_false_alarms(arguments.bin, systems, cases, window_s)
    write(cases, out)
    print(f"{len(cases)} cases in {out}")
    for problem in problems:
        print(f"not measured: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
