#!/usr/bin/env python3
"""Real daemons under random faults for a while, under an observer that sees two owners if there are ever two.

    soak.py [--bin DIR] [--minutes N] [--nodes N] [--seed S] [--burst N] [--logs DIR]

Bursts of faults (lab/chaos.py), each decided by the seed and its number alone; after each one everything is mended, and
the cluster must be whole and serve again within a stated time. A violation is: two owners at one moment, a daemon that
ended by itself, a cluster that does not become whole in time. Ends by itself; exit status 1 when there was a violation,
with the logs, journals and the observer's account of that burst in DIR.
"""
import argparse
import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lab.chaos import Hand, plan_burst  # noqa: E402
from lab.client import Observer, Probe  # noqa: E402
from lab.namespaces import Lab, clean, ring  # noqa: E402
from lab.shell import Broken, LabError, expect  # noqa: E402
from lab.stage import APPLICATION, Stage  # noqa: E402
from lab.steal import CpuTime  # noqa: E402
from lab.testing import keep_logs  # noqa: E402
from lab.vigil import GROUP  # noqa: E402
from lab.wallclock import WallClock, compiler  # noqa: E402

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")

# Whole again after everything is mended, as the simulator demands it (runtime/DESIGN.md section 9), for `lan`: two restart
# waits of outlast(2 s), 12 s for retries that are spaced in seconds, 20 D + 4 W + 4 D, and here the application's time-outs,
# start 10 s and stop 5 s, once.
D_S, W_S = 0.180, 0.184
WHOLE_S = 2 * 2.445 + 12 + 20 * D_S + 4 * W_S + 4 * D_S + 15
HELD_OUT = re.compile(r"(\w+) comes and goes: voted out \d+ times, held out for another (\d+) s")


@dataclasses.dataclass
class Tally:
    """What the table at the end says."""
    faults: dict = dataclasses.field(default_factory=dict)
    bursts: int = 0
    takeovers: int = 0
    outages: int = 0
    worst_outage_ms: float = 0.0
    worst_whole_s: float = 0.0
    blind_ms: float = 0.0
    asked: int = 0
    violations: list = dataclasses.field(default_factory=list)


class Soak:
    """One cluster under one seed."""

    def __init__(self, lab, seed, limit_s, say=print, plan=plan_burst, hand=Hand):
        self.lab = lab
        self.plan = plan
        self.make_hand = hand
        self.whole_s = WHOLE_S
        self.seed = seed
        self.say = say
        self.tally = Tally()
        self.stage = Stage(lab, application=APPLICATION)
        self.vigil = self.stage.vigil
        self.clocks = {node.name: WallClock(lab, node) for node in lab} if compiler() else {}
        self.observer = None
        self.hand = None
        self.limit_s = int(limit_s)
        self.back_by = {}  # node that is held out -> when it must be back
        self.last_owner = None

    def open(self):
        self.observer = Observer(self.lab, limit_s=self.limit_s + 600)
        self.hand = self.make_hand(self.stage, self.observer, self.clocks)
        for node in self.lab:
            self.hand._start(node)
            self.stage._start_responder(node)
        self.wait_whole()

    # ---- whole and serving ----

    def unwhole(self):
        """Why the cluster is not whole and serving, in one line; None when it is. A node that is held out because we
        made it come and go is excused for as long as it was told, and no longer."""
        statuses = {node.name: self.vigil.status(node) for node in self.lab}
        silent = [name for name, status in statuses.items() if status is None]
        if silent:
            return f"vigild of {', '.join(silent)} does not answer"
        held = self._held_out(statuses)
        inside = {name: s for name, s in statuses.items() if name not in held}
        for name, status in inside.items():
            problems = [str(p) for p in status["problems"] if "comes and goes" not in str(p)]
            if status["role"] != "member" or not status["quorate"] or problems:
                return f"{name}: {status['role_text']}: {'; '.join(problems)}"
            if not set(inside) <= set(status["members"]):
                return f"{name}: members are {', '.join(status['members'])}"
        if len({(s["epoch"]["counter"], s["epoch"]["proposer"]) for s in inside.values()}) != 1:
            return "members are of different epochs"
        groups = {(g["phase"], g["owner"], g["blocked_text"]) for s in inside.values() for g in s["groups"]}
        phase, owner, blocked = next(iter(groups))
        if len(groups) != 1 or phase != "online":
            return f"the group is {sorted(map(str, groups))}"
        serving = self.observer.serving()
        return None if serving == [owner] else f"{owner} owns the group, and {serving or 'nobody'} answers"

    def _held_out(self, statuses):
        """Whom members hold out, and are still within the time that they told for it."""
        now = time.monotonic()
        held = set()
        for status in (s for s in statuses.values() if s["role"] == "member"):
            for name, seconds in HELD_OUT.findall("\n".join(map(str, status["problems"]))):
                held.add(name)
                self.back_by.setdefault(name, now + int(seconds) + self.whole_s)
        for name in set(self.back_by) - held:
            del self.back_by[name]
        return {name for name in held if now < self.back_by[name] and statuses[name]["role"] != "member"}

    def repair(self):
        """What the operator's part is: nodes in standby, applications that failed too often."""
        for node in self.lab:
            status = self.vigil.status(node)
            if not status or status["role"] != "member" or not status["quorate"]:
                continue
            for other in (n["name"] for n in status["nodes"] if n["standby"]):
                self.vigil.ctl(node, "node", "online", other, check=False, timeout=20)
            if any(g["failed_on"] for g in status["groups"]):
                self.vigil.ctl(node, "group", "clear", GROUP, check=False, timeout=20)
            return

    def wait_whole(self):
        """Returns after how many seconds it was; Broken when it never was."""
        begun = next_repair = time.monotonic()
        why = None
        while time.monotonic() - begun < self.whole_s:
            self.observer.expect_one_owner()
            why = self.unwhole()
            if why is None:
                return time.monotonic() - begun
            if time.monotonic() >= next_repair:
                self.repair()
                next_repair = time.monotonic() + 2
            time.sleep(0.1)
        raise Broken(f"not whole {self.whole_s:.0f} s after everything was mended: {why}")

    # ---- a burst ----

    def burst(self, number):
        faults = self.plan(self.seed, number, list(self.lab.nodes))
        self.say(f"burst {number}: " + "; ".join(map(str, faults)), flush=True)
        probe = Probe(self.lab, interval_us=2000, limit_s=300, min_lost=5)
        self._carry_out(faults)
        dead = self.hand.ended_by_themselves()
        self.hand.mend_all()
        expect(not dead, f"vigild of {', '.join(dead)} ended by itself")
        whole_s = self.wait_whole()
        self._count(probe.finish(), faults, whole_s)
        self.observer.expect_one_owner()

    def _carry_out(self, faults):
        steps = [(f.at_s, 0, f.number, f) for f in faults]
        steps += [(f.at_s + f.length_s, 1, f.number, f) for f in faults if f.length_s]
        begun = time.monotonic()
        for at_s, is_end, _, fault in sorted(steps):
            time.sleep(max(0.0, begun + at_s - time.monotonic()))
            (self.hand.end if is_end else self.hand.begin)(fault)

    def _count(self, picture, faults, whole_s):
        tally = self.tally
        tally.bursts += 1
        for fault in faults:
            tally.faults[fault.kind] = tally.faults.get(fault.kind, 0) + 1
        servers = [run["server"] for run in picture.runs]
        changes = sum(a != b for a, b in zip([self.last_owner or servers[0], *servers], servers))
        self.last_owner = servers[-1]
        worst = max((o["length_ms"] for o in picture.outages), default=0.0)
        tally.takeovers += changes
        tally.outages += len(picture.outages)
        tally.worst_outage_ms = max(tally.worst_outage_ms, worst)
        tally.worst_whole_s = max(tally.worst_whole_s, whole_s)
        self.say(f"  whole after {whole_s:.1f} s, {changes} takeovers, worst outage {worst:.0f} ms"
                 + (f", held out: {', '.join(self.back_by)}" if self.back_by else ""), flush=True)

    def run(self, seconds, bursts=None):
        """Bursts until the time is over, or just those of these numbers. False when there was a violation."""
        end = time.monotonic() + seconds
        number = 0
        try:
            self.open()
            for number in bursts if bursts is not None else itertools.count():
                if bursts is None and time.monotonic() >= end:
                    break
                self.burst(number)
        except (Broken, LabError) as error:
            self.tally.violations.append(f"burst {number}: {error}")
        if self.observer:
            with contextlib.suppress(LabError):
                account = self.observer.look()
                self.tally.blind_ms, self.tally.asked = account["blind_ms"], account["asked"]
        return not self.tally.violations

    # ---- afterwards ----

    def table(self):
        tally = self.tally
        lines = [f"{'faults':<34} {sum(tally.faults.values()):>8}"]
        lines += [f"  {kind:<32} {count:>8}" for kind, count in sorted(tally.faults.items())]
        figures = {"bursts": tally.bursts, "takeovers": tally.takeovers, "outages": tally.outages,
                   "worst outage, ms": f"{tally.worst_outage_ms:.0f}", "worst time until whole, s": f"{tally.worst_whole_s:.1f}",
                   "time allowed for that, s": f"{WHOLE_S:.1f}", "observer asked, times": tally.asked,
                   "observer blind, ms": f"{tally.blind_ms:.0f}", "violations": len(tally.violations)}
        return "\n".join(lines + [f"{name:<34} {value:>8}" for name, value in figures.items()]
                         + [f"VIOLATION {violation}" for violation in tally.violations])

    def keep_evidence(self, target):
        """Everything that may say why: logs, what the observer saw, journals, and what every node says of itself."""
        keep_logs(self.lab, target)
        for path in self.lab.dir.glob("*.json*"):
            shutil.copy(path, target / path.name)
        asked = {"status": ["status", "--json"], "events": ["events", "--json", "--last", "4096"],
                 "why": ["why", GROUP, "--json", "--last", "50"], "membership": ["why", "--membership"]}
        for node in self.lab:
            for path in node.run("sh", "-c", "ls /var/lib/vigil", check=False).stdout.split():
                (target / f"{node.name}-{path}").write_bytes(subprocess.run(
                    ["nsenter", "--target", str(node.holder.pid), "--mount", "--", "cat", f"/var/lib/vigil/{path}"],
                    capture_output=True, check=False, timeout=30).stdout)
            for name, words in asked.items():
                with contextlib.suppress(LabError):
                    (target / f"{node.name}-{name}").write_text(self.vigil.ctl(node, *words, check=False, timeout=10).stdout)
        (target / "violations").write_text("\n".join(self.tally.violations) + f"\nseed {self.seed}\n")


def soak(bin_dir, seed, seconds, nodes, logs, bursts=None, say=print):
    """A whole run; returns (whether there was no violation, the tally)."""
    names = NAMES[:nodes]
    cpu = CpuTime()
    with Lab(bin_dir, names=names, serial=True if nodes <= 3 else ring(names)) as lab:
        run = Soak(lab, seed, seconds, say)
        good = run.run(seconds, bursts)
        if not good:
            run.keep_evidence(logs)
        say(run.table())
    took = cpu.since_start()
    say(f"processors: {took['busy_percent']:.0f} % busy, {took['steal_percent']:.1f} % stolen")
    return good, run.tally


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=3, choices=range(3, len(NAMES) + 1))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--burst", type=int, action="append", help="only this one, again and again if given again")
    parser.add_argument("--logs", default="build/soak")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(3), "big")
    if os.geteuid() != 0:
        sys.exit("the soak needs root: network namespaces")
    clean()
    again = f"make soak SEED={seed} MINUTES={arguments.minutes:g} NODES={arguments.nodes}"
    print(f"seed {seed}; the same schedule again: {again}", flush=True)
    logs = pathlib.Path(arguments.logs).resolve() / f"seed-{seed}"
    good, tally = soak(arguments.bin, seed, arguments.minutes * 60, arguments.nodes, logs, arguments.burst)
    if not good:
        number = re.search(r"burst (\d+)", tally.violations[0]).group(1)
        print(f"evidence is in {logs}\nthe same schedule again: {again}\nthat burst alone: {again} BURST={number}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
