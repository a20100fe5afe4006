"""Two nodes and a tie-breaker: the file that both can reach decides who goes on, and without it nobody does."""
import contextlib
import pathlib
import time

from lab.shell import boot_ns, wait_until
from lab.stage import ADDRESS_BOUND_MS, Stage, expect
from lab.testing import Skip, laboratory
from lab.vigil import Vigil

TWO = ("alpha", "beta")


class Pair(Stage):
    """A cluster of two that share a tie-breaker file."""

    def __init__(self, lab):
        self.shared = lab.dir / "shared"
        self.shared.mkdir()
        self.file = self.shared / "tie"
        self.file.write_bytes(bytes(8192))
        super().__init__(lab, application=None, extra=f'[cluster.quorum]\ntie_breaker = "{self.file}"\n')

    def other(self, node):
        return next(n for n in self.lab if n is not node)

    def says(self, node):
        """Everything that `vigil status` of this node says is wrong."""
        status = self.vigil.status(node) or {"role_text": "", "problems": []}
        return " / ".join([status["role_text"], *map(str, status["problems"])])

    def expect_said(self, node, *words):
        expect(wait_until(lambda: all(w in self.says(node) for w in words), 10),
               f"{node.name} does not say '{' … '.join(words)}' but: {self.says(node)}")

    def expect_nobody_serves(self, seconds, since_ns):
        time.sleep(seconds)
        servers = self.probe.snapshot().servers_between(since_ns)
        expect(not servers, f"{servers} served without a tie-breaker")


@contextlib.contextmanager
def pair(settings):
    with laboratory(settings, names=TWO, serial=False) as lab:
        missing = Vigil.missing(lab)
        if missing:
            raise Skip(f"not built: {', '.join(missing)}")
        stage = Pair(lab)
        stage.open()
        yield stage


def test_either_takes_over_from_the_other(settings):
    """Crashes in turn: the survivor goes on alone, and the dead one comes back as a member."""
    with pair(settings) as stage:
        for _ in range(2):
            outcome = stage.crash()
            settled = boot_ns()
            time.sleep(2)  # eighty readings of the tie-breaker: it lives by it
            expect(stage.probe.serving() == outcome.after, f"{outcome.after} does not serve on, alone with the tie-breaker")
            expect(stage.probe.snapshot().outage_ms(settled) < ADDRESS_BOUND_MS, f"{outcome.after} serves with gaps")
            stage.power_on(outcome.before)
            stage.healthy_again()


def split(stage, owner_coordinates):
    """No node hears the other, both live, and the client hears both: one serves, the other says why it does not."""
    stage.vigil.wait_healthy()
    coordinator = stage.vigil.status(next(iter(stage.lab)))["coordinator"]
    owner = coordinator if owner_coordinates else stage.other(stage.lab[coordinator]).name
    if stage.vigil.owner() != owner:
        stage.vigil.move(owner)
    outcome, node = stage.begin()
    expect(outcome.before == owner, f"the group is on {outcome.before}; it was to be on {owner}")
    stage.lab.cut_between_nodes()
    winner = stage.lab[coordinator]  # it has the head start
    loser = stage.other(winner)
    stage.expect_said(loser, "half of the votes", "the tie-breaker is the others'")
    stage.end(outcome, lambda name: name == coordinator, f"{coordinator} coordinated: it should go on")
    time.sleep(1)
    picture = stage.probe.snapshot()
    expect(picture.servers_between(picture.now_ns - int(1e9)) == [winner.name], "the winner does not serve alone")
    expect(wait_until(lambda: stage.adapter_of(loser) is None, 10), f"{loser.name} still has the address")
    stage.lab.join()
    stage.healthy_again()
    stage.expect_one_server()
    return winner


def test_one_of_two_halves_goes_on(settings):
    with pair(settings) as stage:
        split(stage, owner_coordinates=True)
        split(stage, owner_coordinates=False)


def test_a_node_without_its_cables_leaves_it_to_the_other(settings):
    """Whoever coordinates, the node that lost every cable could only win and serve nobody."""
    with pair(settings) as stage:
        for name in TWO:
            if stage.vigil.owner() != name:
                stage.vigil.move(name)
            outcome, node = stage.begin()
            node.cut_all()
            stage.end(outcome, lambda other: other != node.name, f"{node.name} has no cable left")
            stage.expect_said(node, "the tie-breaker is the others'")
            node.heal()
            stage.healthy_again()


def test_the_loser_waits_for_a_winner_that_dies(settings):
    """Nobody can tell the loser that the winner is gone: it stays out until it hears it again."""
    with pair(settings) as stage:
        stage.lab.cut_between_nodes()
        winner = stage.lab[wait_until(lambda: next((n.name for n in stage.lab if "others'" in stage.says(stage.other(n))),
                                                   None), 10)]
        winner.crash()
        stage.lab.join()
        time.sleep(1)
        stage.expect_nobody_serves(2, boot_ns())
        stage.power_on(winner.name)
        stage.healthy_again()
        stage.expect_one_server()


def blocked(stage, break_it, mend_it, words):
    stage.healthy_again()
    owner = stage.lab[stage.vigil.owner()]
    survivor = stage.other(owner)
    break_it(stage.file)
    # Known before it is needed.
    stage.expect_said(survivor, "the tie-breaker cannot be used", words)
    owner.crash()
    time.sleep(1)
    stage.expect_nobody_serves(2, boot_ns())
    stage.expect_said(survivor, "no quorum: half of the votes, and the tie-breaker cannot be used", words)
    mend_it(stage.file)
    expect(wait_until(lambda: stage.probe.serving() == survivor.name, 10),
           f"the tie-breaker is back, and {survivor.name} does not serve: {stage.says(survivor)}")
    stage.power_on(owner.name)
    stage.healthy_again()


def test_without_the_tie_breaker_the_survivor_blocks(settings):
    """The shared storage is gone, or something else is in its place: said at once, and nobody serves on a guess."""
    def away(file: pathlib.Path):
        file.rename(file.with_suffix(".away"))

    def back(file):
        file.with_suffix(".away").rename(file)

    def directory(file):
        away(file)
        file.mkdir()

    def directory_back(file):
        file.rmdir()
        back(file)

    with pair(settings) as stage:
        blocked(stage, away, back, "no such file")
        blocked(stage, directory, directory_back, "Is a directory")


def test_whoever_lives_by_it_stops_when_it_is_gone(settings):
    """Alone with the tie-breaker: the lease is renewed by reading it, and ends without it."""
    with pair(settings) as stage:
        outcome = stage.crash()
        stage.file.rename(stage.shared / "away")
        time.sleep(1)
        stage.expect_nobody_serves(1, boot_ns())
        stage.expect_said(stage.lab[outcome.after], "the tie-breaker cannot be used")
        (stage.shared / "away").rename(stage.file)
        expect(wait_until(lambda: stage.probe.serving() == outcome.after, 10), "the tie-breaker is back, and nobody serves")
        stage.expect_one_server()


def test_the_tie_breaker_is_used_again_when_the_agent_died(settings):
    """The agent that reads it dies while a view lives by it: a blip at most, and the same node serves on."""
    with pair(settings) as stage:
        outcome = stage.crash()
        node = stage.lab[outcome.after]
        agents = node.processes.by_name("vigil-agent")
        node.run("kill", "-9", str(max(agents)))
        expect(wait_until(lambda: set(node.processes.by_name("vigil-agent")) - set(agents), 10), "no new agent was started")
        expect(wait_until(lambda: stage.probe.serving() == node.name, 10), f"{node.name} does not serve again")
        settled = boot_ns()
        time.sleep(2)
        expect(stage.probe.serving() == node.name, f"{node.name} served for a moment only")
        expect(stage.probe.snapshot().outage_ms(settled) < ADDRESS_BOUND_MS, f"{node.name} serves with gaps")
