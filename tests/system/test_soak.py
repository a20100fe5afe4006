"""A short soak (soak.py), and its eyes: each kind of violation, made on purpose, is seen."""
import os
import pathlib
import random

from lab.chaos import Fault, Hand
from lab.namespaces import SERVICE_ADDRESS
from lab.shell import Broken, expect
from lab.sightings import GAP_NS, Sightings
from lab.testing import Skip, laboratory
from lab.vigil import Vigil
from soak import Soak

SOAK_S = 35


def test_what_the_observer_concludes(_settings):
    """Two owners at one moment, and nothing that only looks like it."""
    ms = 1_000_000
    # name: ((node, sent, received)…, in ms), how long both owned it, or None
    cases = {
        "one after the other": ([("a", 0, 1), ("a", 2, 3), ("b", 4, 5), ("b", 6, 7)], None),
        "both to one request": ([("a", 0, 1), ("b", 0, 1)], None),  # a handover may lie between
        "both to two requests": ([("a", 0, 1), ("b", 0, 1), ("a", 4, 5), ("b", 4, 5)], 3),
        "a second one for a moment": ([("a", 0, 1), ("b", 2, 3), ("a", 6, 7), ("b", 6, 7), ("a", 8, 9)], 3),
        "an answer that comes late": ([("a", 0, 1), ("b", 8, 9), ("a", 2, 9), ("b", 10, 11)], None),
        "there and back with a silence": ([("a", 0, 1), ("b", 10, 11), ("a", 30, 31), ("b", 20, 32)], None),
    }
    for name, (answers, both_ms) in cases.items():
        seen = Sightings()
        for node, sent, received in answers:
            seen.answered(node, sent * ms, received * ms)
        seen.finish()
        two = [told for told in seen.told if "two" in told]
        longest = max(((t["to_ns"] - t["from_ns"]) / ms for t in two), default=None)
        expect(longest == both_ms, f"{name}: both for {longest} ms, not {both_ms}")
    expect(GAP_NS >= 4 * 2 * ms, "the gap is too short for the interval of the requests")


def short_soak(settings, nodes, seconds):
    seed = int.from_bytes(os.urandom(3), "big")
    names = ("alpha", "beta", "gamma", "delta", "epsilon")[:nodes]
    with laboratory(settings, names=names) as lab:
        if Vigil.missing(lab):
            raise Skip(f"not built: {', '.join(Vigil.missing(lab))}")
        run = Soak(lab, seed, seconds, say=lambda *_, **__: None)
        if not run.run(seconds):
            run.keep_evidence(pathlib.Path("build/soak").resolve() / f"seed-{seed}")
            raise Broken(f"make soak SEED={seed} NODES={nodes}: {'; '.join(run.tally.violations)}")
        expect(run.tally.bursts >= 3 and run.tally.asked > seconds * 100, f"this was no soak:\n{run.table()}")


def test_a_short_soak(settings):
    short_soak(settings, 3, SOAK_S)


class Saboteur(Hand):
    """Does what no fault of the soak does, behind its back."""

    def _daemon_ends(self, node, _):
        for pid in node.processes.by_name("vigild"):
            os.kill(pid, 9)

    def _adapter_is_down(self, node, _):
        node.run("ip", "link", "set", "eth0", "down")

    def _second_owner(self, node, _):
        """Outside of every gate, as a daemon that believes itself the owner would do it."""
        node.run("ip", "address", "add", f"{SERVICE_ADDRESS}/24", "dev", "eth0")
        node.run("sleep", "0.1")
        node.run("ip", "address", "del", f"{SERVICE_ADDRESS}/24", "dev", "eth0")


def test_the_soak_sees_what_it_must_never_see(settings):
    with laboratory(settings) as lab:
        if Vigil.missing(lab):
            raise Skip(f"not built: {', '.join(Vigil.missing(lab))}")
        plan = {}
        run = Soak(lab, 0, 60, say=lambda *_, **__: None, plan=lambda _seed, number, _names: plan[number], hand=Saboteur)
        run.open()
        other = random.choice([name for name in lab.nodes if name != run.vigil.owner()])

        def caught(number, kind, words):
            plan[number] = [Fault(0, kind, other, 0.0, 0.0, None)]
            try:
                run.burst(number)
            except Broken as broken:
                expect(all(word in str(broken) for word in words), f"{kind}: seen as '{broken}'")
                return
            raise Broken(f"{kind} on {other}: the soak saw nothing")

        caught(0, "daemon_ends", ("ended by itself", other))
        run.hand._start(lab[other])
        run.wait_whole()
        run.whole_s = 3
        caught(1, "adapter_is_down", ("not whole", other))
        lab[other].run("ip", "link", "set", "eth0", "up")
        run.whole_s = 30
        run.wait_whole()
        caught(2, "second_owner", ("both answered", other))
