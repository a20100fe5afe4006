"""Who is kept out of a cluster, and that both sides say why in one line: log, status and journal."""
import contextlib
import json
import os
import time

from lab.client import Probe
from lab.shell import run, wait_until
from lab.stage import Stage, expect
from lab.testing import Skip, cluster, daemons
from lab.vigil import GROUP, cluster_toml
from lab.wallclock import WallClock, compiler

THREE = ("alpha", "beta", "gamma")
FOUR = THREE + ("twin",)


def lines_of(vigil, node, event, words):
    """The lines of a node's log about this event that contain `words`."""
    return [line for line in vigil.log(node).splitlines() if f"{event} " in line and words in line]


def journal_of(vigil, node, event):
    """What a node's journal has about this event."""
    said = vigil.ctl(node, "events", "--json", "--last", "1000", check=False).stdout
    return [e for e in map(json.loads, said.splitlines()) if e.get("event") == event]


def expect_told(vigil, node, event, words, problem):
    """One line in the log and not one a frame, one entry in the journal, one problem in the status."""
    expect(wait_until(lambda: lines_of(vigil, node, event, words), 10), f"{node.name}'s log has no line '{words}'")

    def in_status():
        status = vigil.status(node)
        return status and any(problem in str(p) for p in status["problems"])

    expect(wait_until(in_status, 5), f"{node.name}'s status does not say '{problem}'")
    time.sleep(1.5)  # sixty heartbeats more
    lines = lines_of(vigil, node, event, words)
    expect(len(lines) <= 3 and len(set(lines)) == len(lines), f"{node.name} repeats itself: {lines}")
    entries = journal_of(vigil, node, event)
    expect(any(words in e["text"] for e in entries), f"{node.name}'s journal does not say '{words}': {entries}")


@contextlib.contextmanager
def undisturbed(vigil, nodes):
    """Nothing that happens meanwhile changes these nodes' view, or costs one of them its lease for a moment."""
    def picture():
        found = []
        for node in nodes:
            status = vigil.status(node)
            found.append((status["epoch"]["counter"], sorted(status["members"]), status["lease_gaps"]))
        return found

    before = picture()
    yield
    after = picture()
    expect(after == before, f"the view or a lease was disturbed: {before}, then {after}")


def two_members(lab, vigil):
    for name in ("alpha", "beta"):
        vigil.start_node(lab[name])
    expect(wait_until(lambda: vigil.owner() is not None, 20), "alpha and beta do not form a cluster")


def expect_out(vigil, node, seconds=2):
    time.sleep(seconds)
    status = vigil.status(node)
    expect(status is not None and status["role"] != "member", f"{node.name} is {status and status['role']}")


def test_another_configuration(settings):
    with daemons(settings) as (lab, vigil):
        two_members(lab, vigil)
        old = lab.dir / "old.toml"
        old.write_text(cluster_toml(lab).replace("version = 1", "version = 2", 1))
        with undisturbed(vigil, [lab["alpha"], lab["beta"]]):
            vigil.start_node(lab["gamma"], old)
            for name in THREE:
                expect_told(vigil, lab[name], "config_mismatch", "its configuration differs",
                            "runs another configuration than this node")
            expect_out(vigil, lab["gamma"])


def test_another_key(settings):
    with daemons(settings) as (lab, vigil):
        two_members(lab, vigil)
        key = lab.dir / "other.key"
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, os.urandom(32).hex().encode())
        os.close(descriptor)
        other = lab.dir / "other.toml"
        other.write_text(cluster_toml(lab, key_file=key))
        with undisturbed(vigil, [lab["alpha"], lab["beta"]]):
            vigil.start_node(lab["gamma"], other)
            for name in THREE:
                expect_told(vigil, lab[name], "node_refused", "another cluster key", "copy key_file from a member")
            expect("gamma" in lines_of(vigil, lab["alpha"], "node_refused", "another cluster key")[0],
                   "the line does not name the claimed sender")
            expect_out(vigil, lab["gamma"])


def set_version_of_frames(lab, node, version):
    """What this node sends and gets by raw Ethernet carries this version: a switch that speaks for a release."""
    rules = []
    for adapter in ("eth0", "eth1"):
        for hook in ("ingress", "egress"):
            rules.append(f'chain {adapter}_{hook} {{\n type filter hook {hook} device "{node.port(adapter)}" priority 0;'
                         f" policy accept;\n ether type 0x88b5 @nh,24,8 set {version}\n }}")
    run("ip", "netns", "exec", lab.switch, "nft", "-f", "-",
        text_in="table netdev other_release {\n" + "\n".join(rules) + "\n}\n")


def test_another_protocol_version(settings):
    with daemons(settings, serial=False) as (lab, vigil):
        two_members(lab, vigil)
        lab["gamma"].cut("eth2")
        set_version_of_frames(lab, lab["gamma"], 2)
        with undisturbed(vigil, [lab["alpha"], lab["beta"]]):
            vigil.start_node(lab["gamma"])
            for name in THREE:
                expect_told(vigil, lab[name], "node_refused", "another protocol version", "upgrade the older")
            expect_out(vigil, lab["gamma"])
        run("ip", "netns", "exec", lab.switch, "nft", "delete", "table", "netdev", "other_release")
        expect(wait_until(lambda: "gamma" in (vigil.status(lab["alpha"]) or {"members": []})["members"], 20),
               "gamma is not admitted once its version is right")


def test_a_clock_far_off(settings):
    """A newcomer waits until its clock is set; a member whose clock is changed is told, and stays."""
    if compiler() is None:
        raise Skip("no C compiler for the library that moves a clock")
    with daemons(settings) as (lab, vigil):
        clocks = {name: WallClock(lab, lab[name], 7200 if name == "gamma" else 0) for name in THREE}
        for name in ("alpha", "beta"):
            vigil.start_node(lab[name], env=clocks[name].env)
        expect(wait_until(lambda: vigil.owner() is not None, 20), "alpha and beta do not form a cluster")
        with undisturbed(vigil, [lab["alpha"], lab["beta"]]):
            vigil.start_node(lab["gamma"], env=clocks["gamma"].env)
            for name in THREE:
                expect_told(vigil, lab[name], "clock_apart", "ahead of the others': not admitted",
                            "not admitted until it is set right")
            expect_out(vigil, lab["gamma"], 0)
        clocks["gamma"].set(0)
        expect(wait_until(lambda: not vigil.problem(), 20), f"the clock is right, and yet: {vigil.problem()}")
        with undisturbed(vigil, list(lab)):
            clocks["gamma"].set(-7200)
            for name in THREE:
                expect_told(vigil, lab[name], "clock_apart", "behind the others': set it right (it stays a member)",
                            "it stays a member")
            clocks["gamma"].set(0)
            expect(wait_until(lambda: not vigil.problem(), 20), f"the clock is right again, and yet: {vigil.problem()}")


def test_a_second_machine_under_one_id(settings):
    """It is kept out, and the first one loses no heartbeat; when the first one dies, its place is free."""
    with daemons(settings, names=FOUR, serial=False) as (lab, vigil):
        vigil.config.write_text(cluster_toml(lab, names=THREE))
        for name in THREE:
            vigil.start_node(lab[name])
            Stage._start_responder(lab[name])
        expect(wait_until(lambda: vigil.owner() is not None, 20), "no cluster")
        wait_until(lambda: len(vigil.status(lab["alpha"])["members"]) == 3, 10)
        vigil.move("gamma")
        probe = Probe(lab)
        expect(wait_until(lambda: probe.serving() == "gamma", 10), "gamma does not serve")
        began = probe.snapshot().now_ns
        twin = lab["twin"]
        with undisturbed(vigil, [lab[name] for name in THREE]):
            vigil.start_node(twin, name="gamma")
            expect_told(vigil, lab["gamma"], "node_refused", "a second machine uses this id", "two running machines")
            expect_told(vigil, twin, "node_refused", "another machine had this id first", "two running machines")
            shared = journal_of(vigil, lab["alpha"], "node_refused")
            expect(any("a second machine uses this id" in e["text"] for e in shared), f"alpha has not heard of it: {shared}")
            status = vigil.status(twin)
            expect(status["role"] == "waiting" and "another machine" in status["role_text"], f"twin is {status['role_text']}")
            # It is started again and again, as systemd would: every life of it is a newcomer.
            for _ in range(3):
                twin.processes.kill()
                vigil.start_node(twin, name="gamma")
                time.sleep(1)
        expect(probe.snapshot().outages_between(began) == [], "the second machine cost the client an answer")
        lab["gamma"].crash()
        expect(wait_until(lambda: (vigil.status(twin) or {}).get("role") == "member", 30),
               "the first machine is gone, and the second one does not get in")
        picture = probe.finish()
        expect(picture.violations == [], "two nodes answered in turns")


def test_a_second_node_of_one_name(settings):
    with daemons(settings, names=FOUR, serial=False) as (lab, vigil):
        vigil.config.write_text(cluster_toml(lab, names=THREE))
        for name in THREE:
            vigil.start_node(lab[name])
        expect(wait_until(lambda: vigil.owner() is not None, 20), "no cluster")
        wait_until(lambda: len(vigil.status(lab["alpha"])["members"]) == 3, 10)
        namesake = lab.dir / "namesake.toml"
        namesake.write_text(cluster_toml(lab, names=FOUR).replace('"gamma"', '"spare"').replace('"twin"', '"gamma"'))
        twin = lab["twin"]
        with undisturbed(vigil, [lab[name] for name in THREE]):
            vigil.start_node(twin, namesake, name="gamma")
            for node in (lab["alpha"], lab["gamma"], twin):
                expect_told(vigil, node, "node_refused", "goes by a name that has another id here",
                            "goes by the name of another node")
            expect_out(vigil, twin)


def life_of(vigil, node):
    return next(n["start_id"] for n in vigil.status(node)["nodes"] if n["self"])


def test_a_restart_faster_than_the_expulsion(settings):
    """It is another life: what the old one ran counts as gone, and is started anew where it belongs."""
    with cluster(settings) as stage:
        outcome, node = stage.begin()
        before = life_of(stage.vigil, node)
        generation = stage.vigil.generation()
        node.processes.kill()
        stage.vigil.start_node(node)
        stage._start_responder(node)
        stage.end(outcome, lambda _: True, "the group is not served after a quick restart of its owner")
        expect(stage.vigil.generation() > generation, "the restarted node is believed to have run on")
        stage.healthy_again()
        expect(life_of(stage.vigil, node) != before, "the restarted node has its old incarnation")
