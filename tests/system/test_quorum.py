"""Each rule of the quorum on real daemons, under a client that would see two servers at one moment."""
import contextlib
import json
import time

from lab.client import Probe
from lab.namespaces import SERVICE_ADDRESS
from lab.shell import wait_until
from lab.stage import Stage, expect
from lab.testing import daemons
from lab.vigil import cluster_toml

THREE = ("alpha", "beta", "gamma")
FIVE = THREE + ("delta", "epsilon")
EIGHT = FIVE + ("zeta", "eta", "theta")
STANDING = 'policy = "last_man_standing"'


class Watched:
    """A cluster on one Ethernet segment, and the client that watches it."""

    def __init__(self, lab, vigil):
        self.lab = lab
        self.vigil = vigil
        self.probe = Probe(lab)

    def start(self, *names):
        for name in names:
            self.vigil.start_node(self.lab[name])
            Stage._start_responder(self.lab[name])

    def crash(self, *names):
        for name in names:
            self.lab[name].crash()

    def power_on(self, *names):
        for name in names:
            self.vigil.recover_node(self.lab[name])
            Stage._start_responder(self.lab[name])

    def quorum(self, name):
        """`vigil quorum --json` of a node, or None while it does not answer."""
        done = self.vigil.ctl(self.lab[name], "quorum", "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def counts_by(self, name, members, voters, needed):
        """True when this node has a quorum in a view of these members, which counts exactly these votes."""
        status = self.vigil.status(self.lab[name])
        return (status is not None and status["quorate"] and set(status["members"]) == set(members)
                and set(status["voters"]) == set(voters) and status["votes_needed"] == needed)

    def expect_counting(self, members, voters, needed, what, timeout_s=15):
        """These are one cluster, by this rule, and one of them serves the client."""
        def there():
            return (all(self.counts_by(name, members, voters, needed) for name in members)
                    and (self.quorum(members[0]) or {"rule_before": "?"})["rule_before"] is None and self.probe.serving() in members)

        expect(wait_until(there, timeout_s, every_s=0.05),
               f"{what}: {', '.join(members)} should count {needed} of the votes of {', '.join(voters)} and serve; "
               f"the client is served by {self.probe.serving()}, and "
               f"{ {name: (self.quorum(name) or {}).get('text') for name in members} }")

    def expect_silent(self, names, what, timeout_s=10):
        """None of these has a quorum, or the address."""
        def silent():
            for name in names:
                status = self.vigil.status(self.lab[name])
                if status is None or status["quorate"] or SERVICE_ADDRESS in self.lab[name].addresses():
                    return False
            return True

        expect(wait_until(silent, timeout_s, every_s=0.05),
               f"{what}: {', '.join(names)} should serve nothing, and "
               f"{ {name: (self.quorum(name) or {}).get('text') for name in names} }")

    def expect_nobody_served(self, what):
        expect(wait_until(lambda: self.probe.serving() is None, 5), f"{what}: {self.probe.serving()} answers")


@contextlib.contextmanager
def watched(settings, names, quorum=(), of_node=None, candidates=None):
    with daemons(settings, names=names, serial=False) as (lab, vigil):
        extra = "\n".join(["[cluster.quorum]", *quorum]) + "\n"
        vigil.config.write_text(cluster_toml(lab, adapters=("eth0",), extra=extra, of_node=of_node, candidates=candidates))
        cluster = Watched(lab, vigil)
        yield cluster
        seen = cluster.probe.finish()
        expect(seen.violations == [], f"two nodes answered in turns: {seen.violations}")


def test_weighted_votes(settings):
    """One node has three of five votes: it goes on alone, and the two others together do not."""
    weights = {"alpha": ["votes = 3"]}
    with watched(settings, THREE, ['policy = "weighted"'], weights) as cluster:
        cluster.start(*THREE)
        cluster.expect_counting(THREE, THREE, 3, "after the start")
        expect(cluster.quorum("beta")["stops_without"] == ["alpha"], "beta does not say that all depends on alpha")
        cluster.vigil.move("beta")
        cluster.lab.part(("alpha",), ("beta", "gamma"))
        cluster.expect_counting(("alpha",), THREE, 3, "apart")
        cluster.expect_silent(("beta", "gamma"), "apart")
        told = cluster.quorum("beta")
        expect(told["enough_with"] == ["alpha"] and told["votes_spare"] == -1, f"beta explains itself so: {told['text']}")
        cluster.lab.join()
        cluster.expect_counting(THREE, THREE, 3, "together again")
        cluster.crash("alpha")
        cluster.expect_silent(("beta", "gamma"), "without alpha")
        cluster.expect_nobody_served("without alpha")
        cluster.power_on("alpha")
        cluster.expect_counting(THREE, THREE, 3, "with alpha again")


def majority(nodes):
    return len(nodes) // 2 + 1


def stand(cluster, names, left):
    """The node that serves dies, again and again, until so many are left; returns these."""
    standing = list(names)
    while len(standing) > left:
        owner = cluster.probe.serving()
        expect(owner in standing, f"{owner} serves, of {standing}")
        standing.remove(owner)
        cluster.crash(owner)
        cluster.expect_counting(standing, standing, majority(standing), f"without {owner}")
    return standing


def test_last_man_standing(settings):
    """Eight nodes die one after another down to two, each time by an agreed view; then all return."""
    with watched(settings, EIGHT, [STANDING]) as cluster:
        cluster.start(*EIGHT)
        cluster.expect_counting(EIGHT, EIGHT, 5, "after the start", 30)
        last = stand(cluster, EIGHT, 2)
        told = cluster.quorum(last[0])
        expect(len(told["changes"]) >= 6, f"the journal has {told['changes']}")
        expect(set(told["stops_without"]) == set(last), "the last two do not say that they need each other")
        cluster.power_on(*[name for name in EIGHT if name not in last])
        cluster.expect_counting(EIGHT, EIGHT, 5, "when all are back", 30)


def test_a_returning_majority_that_cannot_hear_the_last_two(settings):
    """They are a majority of the configured votes, and must not form a cluster beside the two that went on."""
    with watched(settings, FIVE, [STANDING]) as cluster:
        cluster.start(*FIVE)
        cluster.expect_counting(FIVE, FIVE, 3, "after the start", 30)
        last = stand(cluster, FIVE, 2)
        back = [name for name in FIVE if name not in last]
        cluster.lab.part(last, back)
        cluster.power_on(*back)
        expect(wait_until(lambda: all((cluster.vigil.status(cluster.lab[n]) or {}).get("role") == "joining" for n in back), 15),
               "the three do not get ready")
        for _ in range(6):
            time.sleep(0.5)
            cluster.expect_silent(back, "beside the last two", 0)
            expect(cluster.probe.serving() in last, "the last two do not serve any more")
        told = cluster.quorum(back[0])
        expect(set(told["start_lacks"]) == set(last), f"{back[0]} explains itself so: {told['text']}")
        cluster.lab.join()
        cluster.expect_counting(FIVE, FIVE, 3, "when they hear each other", 30)


def test_override(settings):
    """Two of three are lost for good: the operator's word brings the service back, and only where it is needed."""
    with watched(settings, THREE) as cluster:
        cluster.start(*THREE)
        cluster.expect_counting(THREE, THREE, 2, "after the start")
        gamma = cluster.lab["gamma"]
        refused = cluster.vigil.ctl(gamma, "quorum", "override", "--yes", check=False)
        expect(refused.returncode == 1 and "nothing to override" in refused.stderr, f"with a quorum: {refused.stderr}")
        cluster.crash("alpha", "beta")
        cluster.expect_silent(("gamma",), "alone")
        cluster.expect_nobody_served("gamma alone")
        expect(wait_until(lambda: [n["name"] for n in cluster.quorum("gamma")["nodes"] if n["heard"]] == ["gamma"], 5),
               "gamma hears the dead")
        asked = cluster.vigil.ctl(gamma, "quorum", "override", check=False)
        expect(asked.returncode == 2 and "alpha and beta are down" in asked.stderr, f"without --yes: {asked.stderr}")
        time.sleep(0.5)
        cluster.expect_silent(("gamma",), "not confirmed")
        done = cluster.vigil.ctl(gamma, "quorum", "override", "--yes", check=False)
        expect(done.returncode == 0, f"override: {done.stdout} {done.stderr}")
        cluster.expect_counting(("gamma",), ("gamma",), 1, "on the operator's word")
        told = cluster.quorum("gamma")
        expect(told["rule"]["kind"] == "overridden" and any("operator's word" in c["text"] for c in told["changes"]),
               f"gamma explains itself so: {told}")
        cluster.power_on("alpha", "beta")
        cluster.expect_counting(THREE, THREE, 2, "when the others are back", 20)
        cluster.crash("gamma")
        cluster.expect_counting(("alpha", "beta"), THREE, 2, "without gamma, by the configured rule")


def test_override_beside_what_the_dead_had_stored(settings):
    """The survivor was off while the others restarted, and holds lower epochs than they: its word outlives theirs."""
    with watched(settings, THREE) as cluster:
        cluster.start(*THREE)
        cluster.expect_counting(THREE, THREE, 2, "after the start")
        cluster.crash("alpha")
        for name in ("beta", "gamma"):
            cluster.expect_counting(("beta", "gamma"), THREE, 2, f"before {name} restarts")
            time.sleep(0.5)
            cluster.crash(name)
            cluster.power_on(name)
        cluster.expect_counting(("beta", "gamma"), THREE, 2, "both have restarted")
        ahead = cluster.vigil.status(cluster.lab["beta"])["epoch"]["counter"]
        expect(ahead > 2000, f"the restarts have taken epochs up to {ahead} only")
        cluster.crash("beta", "gamma")
        cluster.power_on("alpha")
        cluster.expect_silent(("alpha",), "alone")
        expect(wait_until(lambda: cluster.vigil.ctl(cluster.lab["alpha"], "quorum", "override", "--yes",
                                                    check=False).returncode == 0, 10), "alpha does not take the word")
        cluster.expect_counting(("alpha",), ("alpha",), 1, "on the operator's word")
        cluster.vigil.ctl(cluster.lab["alpha"], "node", "standby", "gamma")
        cluster.power_on("beta", "gamma")
        cluster.expect_counting(THREE, THREE, 2, "when the others are back", 20)
        expect("starts afresh" not in cluster.vigil.log(cluster.lab["alpha"]), "alpha had to start afresh")
        nodes = cluster.vigil.status(cluster.lab["beta"])["nodes"]
        expect([n["name"] for n in nodes if n["standby"]] == ["gamma"], f"what was said meanwhile is forgotten: {nodes}")


def test_wait_for_all(settings):
    """Two of three are a majority, and do not start without the third; once all were there, two go on."""
    with watched(settings, THREE, ["wait_for_all = true"]) as cluster:
        cluster.start("alpha", "beta")
        expect(wait_until(lambda: all((cluster.vigil.status(cluster.lab[n]) or {}).get("role") == "joining"
                                      for n in ("alpha", "beta")), 10), "alpha and beta do not get ready")
        for _ in range(4):
            time.sleep(0.5)
            cluster.expect_silent(("alpha", "beta"), "without gamma", 0)
        told = cluster.quorum("alpha")
        expect(told["start_lacks"] == ["gamma"], f"alpha explains itself so: {told['text']}")
        cluster.start("gamma")
        cluster.expect_counting(THREE, THREE, 2, "all are there")
        cluster.crash("gamma")
        cluster.expect_counting(("alpha", "beta"), THREE, 2, "without gamma")


def test_an_arbiter_votes_and_runs_nothing(settings):
    with watched(settings, THREE, of_node={"gamma": ["arbiter = true"]}, candidates=("alpha", "beta")) as cluster:
        cluster.start(*THREE)
        cluster.expect_counting(THREE, THREE, 2, "after the start")
        first = cluster.probe.serving()
        second = "beta" if first == "alpha" else "alpha"
        cluster.crash(first)
        cluster.expect_counting((second, "gamma"), THREE, 2, f"without {first}")
        expect(cluster.probe.serving() == second, f"{cluster.probe.serving()} serves")
        cluster.lab.part((second,), ("gamma",))
        cluster.expect_silent((second, "gamma"), "each alone")
        cluster.expect_nobody_served("each alone")
        cluster.lab.join()
        cluster.expect_counting((second, "gamma"), THREE, 2, "together")
        cluster.crash(second)
        cluster.expect_silent(("gamma",), "the arbiter alone")
        runs = cluster.probe.snapshot().runs
        expect("gamma" not in {run["server"] for run in runs}, "the arbiter served")
