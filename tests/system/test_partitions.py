"""Ugly partitions: who hears whom is no clean cut, and yet the cluster comes to one view that a majority can work in.

Five nodes; what is lost between two of them is lost on every adapter and serial line, and the client hears them all. In
each case: the view is there within a stated time, it stays (no oscillation), the client is served, and an observer who
asks every node never had two answers.
"""
import contextlib
import re
import time

from lab.client import Observer
from lab.namespaces import ring
from lab.shell import Broken, boot_ns, expect, wait_until
from lab.testing import cluster

FIVE = ("alpha", "beta", "gamma", "delta", "epsilon")
I_S, D_S, W_S = 0.025, 0.180, 0.184
STEP_S = 4 * max(0.002, I_S / 4)

# A round, as the simulator bounds it (runtime/DESIGN.md section 9, five nodes, `lan`): the longer of detection and lease,
# an interval, the hold of votes for broken pairs, who goes first, what a round takes; on the slowest permitted clock.
ROUND_S = (max(D_S, W_S) + I_S + 2 * I_S + 5 * STEP_S + 4 * STEP_S + 8 * STEP_S / 4) / 0.9
# Three of them, since the first candidate may be the one that is left out, and the second may not know it yet; and what a
# late wake-up adds to every deadline at most.
CONVERGE_S = 3 * ROUND_S + 4 * D_S
STEADY_S = 3.0


class Watched:
    """A stage of five and its observer."""

    def __init__(self, stage):
        self.stage = stage
        self.lab = stage.lab
        self.vigil = stage.vigil
        self.hearing = stage.lab.hearing
        self.observer = Observer(stage.lab)

    def view(self):
        """(epoch, members) that all its members agree on, with the group served by one of them; None otherwise."""
        statuses = {node.name: self.vigil.status(node) for node in self.lab}
        inside = {n: s for n, s in statuses.items() if s and s["role"] == "member" and s["quorate"]}
        told = {(s["epoch"]["counter"], tuple(sorted(s["members"]))) for s in inside.values()}
        groups = {(s["groups"][0]["phase"], s["groups"][0]["owner"]) for s in inside.values()}
        if len(told) != 1 or len(groups) != 1:
            return None
        epoch, members = told.pop()
        phase, owner = groups.pop()
        if set(members) != set(inside) or phase != "online" or self.observer.serving() != [owner]:
            return None
        return epoch, set(members)

    def expect_view(self, fits, what, bound_s=CONVERGE_S):
        """The view that members agree on within the bound, if fits(members)."""
        view = None

        def there():
            nonlocal view
            view = self.view()
            return view and fits(view[1])

        begun = time.monotonic()
        if not wait_until(there, bound_s + 0.5, every_s=0.02):  # and what it takes to ask five nodes
            raise Broken(f"{what}: after {time.monotonic() - begun:.1f} s the view is {view}, and "
                         f"{ {n.name: (self.vigil.status(n) or {}).get('role_text') for n in self.lab} }")
        return view

    def expect_steady(self, what, seconds=STEADY_S):
        """No view more, and no gap for the client."""
        before, since = self.view(), boot_ns()
        time.sleep(seconds)
        after = self.view() or wait_until(self.view, 1)
        expect(before == after, f"{what}: the view changed on: {before}, then {after}")
        expect(not [o for o in self.stage.probe.snapshot().outages_between(since) if o["lost"] > 5], f"{what}: the client lost answers")

    def end_of_case(self):
        self.hearing.heard()
        self.stage.healthy_again()
        self.observer.expect_one_owner()

    def owner(self):
        return self.vigil.owner()

    def coordinator(self):
        return self.vigil.status(next(iter(self.lab)))["coordinator"]

    def bystanders(self):
        """Nodes that neither coordinate nor own."""
        return [n for n in self.lab.nodes if n not in (self.owner(), self.coordinator())]


@contextlib.contextmanager
def five(settings):
    with cluster(settings, application=None, names=FIVE, serial=ring(FIVE)) as stage:
        watched = Watched(stage)
        if watched.owner() == watched.coordinator():
            stage.vigil.move(watched.bystanders()[0])
            stage.healthy_again()
        yield watched
        watched.observer.expect_one_owner()


def leaves_out_one_of(*pairs):
    """What a view must be that keeps all it can: one of each pair is out, and nobody else."""
    def fits(members):
        out = set(FIVE) - members
        return len(out) == len(pairs) and all(len(out & set(pair)) == 1 for pair in pairs)
    return fits


def test_two_do_not_hear_each_other(settings):
    """Everybody hears both: one of the two is left out, whatever they are; the owner and the coordinator among them."""
    with five(settings) as watched:
        other, another = watched.bystanders()[:2]
        for a, b in ((watched.coordinator(), other), (watched.owner(), another), (watched.owner(), watched.coordinator())):
            watched.hearing.deafen((a, b), (b, a))
            what = f"{a} and {b} do not hear each other"
            watched.expect_view(leaves_out_one_of((a, b)), what)
            watched.expect_steady(what, 2)
            watched.end_of_case()


def test_one_does_not_hear_another(settings):
    """A is deaf to C on every link, and C hears A: of no more use than a pair that is deaf both ways."""
    with five(settings) as watched:
        other, another = watched.bystanders()[:2]
        for a, b in ((watched.coordinator(), other), (other, watched.owner())):
            watched.hearing.deafen((a, b))
            what = f"{b} does not hear {a}"
            watched.expect_view(leaves_out_one_of((a, b)), what)
            watched.expect_steady(what, 2)
            watched.end_of_case()
        watched.hearing.deafen((other, watched.coordinator()), (watched.owner(), another))
        what = "two links, each deaf one way"
        watched.expect_view(leaves_out_one_of((other, watched.coordinator()), (watched.owner(), another)), what)
        watched.expect_steady(what, 2)
        watched.end_of_case()
