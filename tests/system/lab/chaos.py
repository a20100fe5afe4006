"""Faults at random: a plan that a seed decides alone, and the hand that carries it out on a lab.

A plan knows nothing of what happens: who is hit is a name or a role ("owner": whoever answers for the address at that
moment). So a seed gives the same schedule again, though never the same microseconds.
"""
import contextlib
import dataclasses
import os
import random
import signal
import time

from .namespaces import ADAPTERS
from .shell import wait_until
from .vigil import GROUP

BURST_S = 4.0  # faults begin in the first half of it


@dataclasses.dataclass(frozen=True)
class Fault:
    number: int
    kind: str
    victim: str      # a node's name, or "owner"
    at_s: float
    length_s: float
    detail: object   # what the kind drew

    def __str__(self):
        detail = "" if self.detail is None else f" {self.detail}"
        return f"{self.at_s:.3f} s +{self.length_s:.3f} s {self.kind} {self.victim}{detail}"


def draw_adapters(dice, _names):
    return tuple(sorted(dice.sample(sorted(ADAPTERS), dice.choice((1, 1, 2, 3)))))


def draw_camps(dice, names):
    left = dice.sample(names, dice.randint(1, len(names) - 1))
    return tuple(sorted(left)), tuple(n for n in names if n not in left)


def draw_graph(dice, names):
    """Any graph of who hears whom, one way or both."""
    pairs = [(a, b) for a in names for b in names if a != b]
    chosen = set(dice.sample(pairs, dice.randint(1, max(1, len(pairs) // 3))))
    if dice.random() < 0.5:
        chosen |= {(b, a) for a, b in chosen}
    return tuple(sorted(chosen))


# kind: (how often, shortest and longest in seconds, what is drawn beside)
KINDS = {
    "crash": (3, 0.05, 3.0, None),
    "freeze": (4, 0.01, 3.0, None),
    "slow": (1, 0.5, 2.0, None),
    "kill_daemon": (4, 0.005, 2.0, None),
    "restart_voter": (3, 0.2, 1.5, lambda dice, names: (dice.choice(names), round(dice.uniform(0, 0.3), 3))),
    "kill_agent": (1, 0, 0, None),
    "application_dies": (1, 0, 0, None),
    "cut_carrier": (2, 0.02, 3.0, draw_adapters),
    "cut_silent": (2, 0.02, 3.0, draw_adapters),
    "cut_one_way": (2, 0.05, 3.0, lambda dice, _: (dice.choice(sorted(ADAPTERS)), dice.choice(("in", "out")))),
    "cut_serial": (1, 0.05, 3.0, None),
    "partition": (4, 0.05, 3.0, draw_camps),
    "graph": (3, 0.05, 3.0, draw_graph),
    "narrow": (2, 0.2, 3.0, lambda dice, _: dice.randint(70, 210)),
    "clock": (1, 0.5, 3.0, lambda dice, _: dice.choice((-86400, -120, -30, 30, 120, 86400))),
    "move": (2, 0, 0, None),
    "standby": (1, 0.2, 2.0, None),
}


def plan_burst(seed, burst, names):
    """The faults of one burst, by their beginning."""
    dice = random.Random(f"{seed}/{burst}")
    kinds = list(KINDS)
    # Some bursts have one or two kinds alone: rare combinations come from focus, too.
    if dice.random() < 0.3:
        kinds = dice.sample(kinds, 2)
    faults = []
    for number in range(dice.choice((1, 2, 3, 3, 4, 5, 6, 8))):
        kind = dice.choices(kinds, [KINDS[k][0] for k in kinds])[0]
        _, low, high, draw = KINDS[kind]
        length = low * (high / low) ** dice.random() if low else 0.0
        victim = "owner" if dice.random() < 0.4 else dice.choice(names)
        at = dice.uniform(0, BURST_S / 2) if dice.random() < 0.7 or not faults else faults[-1].at_s + dice.uniform(0, 0.25)
        faults.append(Fault(number, kind, victim, round(at, 3), round(length, 3), draw(dice, list(names)) if draw else None))
    return sorted(faults, key=lambda f: f.at_s)


class Hand:
    """Does each fault, takes it back, and mends everything."""

    def __init__(self, stage, observer, clocks):
        self.stage = stage
        self.lab = stage.lab
        self.vigil = stage.vigil
        self.observer = observer
        self.clocks = clocks       # node -> WallClock, or nothing where there is no compiler
        self.without_power = set()
        self.killed = set()        # whose vigild we killed
        self.commands = []
        self.victims = {}          # fault -> node, from its beginning on
        self.done = {}             # kind -> how often

    def begin(self, fault):
        serving = self.observer.serving()
        name = fault.victim if fault.victim != "owner" else (serving[0] if serving else next(iter(self.lab.nodes)))
        node = self.victims[fault] = self.lab[name]
        self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        getattr(self, f"_{fault.kind}")(node, fault)

    def end(self, fault):
        undo = getattr(self, f"_end_{fault.kind}", None)
        if undo:
            undo(self.victims[fault], fault)

    # ---- nodes ----

    def _crash(self, node, _):
        node.crash()
        self.without_power.add(node.name)
        self.killed.discard(node.name)

    def _end_crash(self, node, _):
        if node.name not in self.without_power:
            return
        node.reboot()
        node.heal()
        self.without_power.discard(node.name)
        self._start(node)
        self.stage._start_responder(node)

    def _freeze(self, node, _):
        node.freeze()

    def _end_freeze(self, node, _):
        node.thaw()

    def _slow(self, node, fault):
        """Half of the time it stands still, each time for less than the detection time."""
        script = f'for i in $(seq {int(fault.length_s / 0.12)}); do kill -STOP "$@"; sleep 0.06; kill -CONT "$@"; sleep 0.06; done'
        pids = [str(pid) for name in ("vigild", "vigil-agent") for pid in node.processes.by_name(name)]
        if pids:
            self._background("sh", "-c", f"({script}) 2>/dev/null; kill -CONT \"$@\"", "sh", *pids)

    # ---- processes ----

    def _start(self, node):
        clock = self.clocks.get(node.name)
        self.vigil.start_node(node, env=clock.env if clock else None)

    def _kill_daemon(self, node, _):
        for pid in node.processes.by_name("vigild"):
            self.killed.add(node.name)
            _kill(pid)

    def _end_kill_daemon(self, node, _):
        """As systemd would: the same boot, a new incarnation."""
        if node.name in self.killed and node.name not in self.without_power:
            self.killed.discard(node.name)
            self._start(node)

    def _restart_voter(self, node, fault):
        """It forgets what it acknowledged, this long after the node that it acknowledged stood still."""
        name, offset_s = fault.detail
        node.freeze()
        voter = self.lab[name]
        if voter is not node:
            time.sleep(offset_s)
            self._kill_daemon(voter, fault)
            self._end_kill_daemon(voter, fault)

    def _end_restart_voter(self, node, _):
        node.thaw()

    def _kill_agent(self, node, _):
        for pid in sorted(node.processes.by_name("vigil-agent"))[-1:]:
            _kill(pid)

    def _application_dies(self, node, _):
        done = node.run("cat", "/run/vigil-web/pid", check=False)
        if done.returncode == 0 and done.stdout.strip().isdigit():
            _kill(int(done.stdout))

    # ---- links ----

    def _cut_carrier(self, node, fault):
        node.cut(*fault.detail)

    def _cut_silent(self, node, fault):
        node.cut_silently(*fault.detail)

    def _cut_one_way(self, node, fault):
        node.cut_one_way(*fault.detail)

    def _cut_serial(self, node, _):
        node.cut_serial()

    def _mend(self, node, _):
        if node.name not in self.without_power:
            node.heal()

    _end_cut_carrier = _end_cut_silent = _end_cut_one_way = _end_cut_serial = _mend

    def _partition(self, _, fault):
        self.lab.hearing.apart(*fault.detail, name=fault.number)

    def _graph(self, _, fault):
        self.lab.hearing.deafen(*fault.detail, name=fault.number)

    def _narrow(self, node, fault):
        self.lab.hearing.narrow(node.name, fault.detail, name=fault.number)

    def _hear(self, _, fault):
        self.lab.hearing.heard(fault.number)

    _end_partition = _end_graph = _end_narrow = _hear

    # ---- people and clocks ----

    def _clock(self, node, fault):
        if node.name in self.clocks:
            self.clocks[node.name].set(fault.detail)

    def _end_clock(self, node, _):
        if node.name in self.clocks:
            self.clocks[node.name].set(0)

    def _move(self, node, _):
        self._command(node, "move", GROUP, node.name)

    def _standby(self, node, _):
        self._command(node, "node", "standby", node.name)

    def _end_standby(self, node, _):
        self._command(node, "node", "online", node.name)

    def _command(self, node, *words):
        """Nobody waits for its answer: the node may be frozen."""
        self._background("timeout", "-k", "1", "20", "nsenter", "--target", str(node.holder.pid), "--mount", "--net", "--uts",
                         "--", str(self.lab.bin / "vigil"), "--socket", "/run/vigil/control.sock", *words)

    def _background(self, *words):
        self.commands.append(self.lab.spawn_helper(*words))

    # ---- afterwards ----

    def ended_by_themselves(self):
        """Whose vigild is gone though nobody killed it. One that was just started takes a moment to appear."""
        return [n.name for n in self.lab if n.name not in self.killed | self.without_power
                and not wait_until(lambda n=n: n.processes.by_name("vigild"), 2)]

    def mend_all(self):
        """Everything that we did is undone."""
        for child in self.commands:
            if not wait_until(lambda child=child: child.poll() is not None, 25):
                child.kill()
            child.wait()
        self.commands.clear()
        self.lab.hearing.heard()
        for node in self.lab:
            node.thaw()
            if node.name not in self.without_power:
                node.heal()
            if node.name in self.clocks:
                self.clocks[node.name].set(0)
        for node in self.lab:
            self._end_crash(node, None)
            self._end_kill_daemon(node, None)


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
