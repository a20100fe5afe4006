"""`vigil why --membership`: what became of the nodes, told by one that saw it, and after everybody restarted."""
import json

from lab.namespaces import ADAPTERS
from lab.shell import wait_until
from lab.stage import expect
from lab.testing import cluster

DETECTION_MS = 180  # of profile lan


def changes(stage, node, *words):
    return json.loads(stage.vigil.ctl(node, "why", "--membership", "--json", "--last", "100", *words).stdout)["changes"]


def change_without(stage, teller, name):
    """The newest view change that left `name` out, as `teller` tells it; None: it knows of none."""
    told = [c for c in changes(stage, teller) if name in [left["node"] for left in c["left"]]]
    return told[-1] if told else None


def expect_votes(change, voters):
    answers = {vote["node"]: vote["answer"] for vote in change["votes"]}
    expect(set(answers) == voters, f"{sorted(voters)} were asked, the story says {sorted(answers)}")
    expect(list(answers.values()).count("promised") >= 2, f"no quorum promised by the story: {answers}")
    steps = change["steps_ms"]
    expect(steps and steps["promise"] > 0 and steps["accept"] > 0, f"the steps' times are missing: {steps}")
    expect({one["node"] for one in change["installed"]} == voters, "not everybody told that the view is in force")


def expect_crash_told(stage, teller, victim):
    change = change_without(stage, teller, victim)
    expect(change, f"{teller.name} tells of no view without {victim}")
    survivors = {node.name for node in stage.lab} - {victim}
    accusations = [a for a in change["accusations"] if a["node"] == victim]
    # Who hears of the new view before its own patience ends has nobody left to accuse.
    accusers = {a["by"] for a in accusations}
    expect(accusers and accusers <= survivors, f"who accused {victim}, and who could: {accusations}")
    for accusation in accusations:
        expect(accusation["why"] == "silent", f"a crash is told as {accusation['why']}")
        expect(accusation["silent_ms"] >= DETECTION_MS, f"accused after {accusation['silent_ms']} ms")
        frames = {link["device"]: link["last_heartbeat_ms"] for link in accusation["links"]}
        expect(set(frames) == set(ADAPTERS), f"evidence of {sorted(frames)}, but its adapters are {sorted(ADAPTERS)}")
        heard = [ms for ms in frames.values() if ms is not None]
        expect(len(heard) == len(frames) and min(heard) >= DETECTION_MS * 0.9,
               f"the last heartbeats are told as {frames} ms before")
        expect(accusation["own_lateness_ms"] < 1000, f"the accuser's lateness: {accusation['own_lateness_ms']} ms")
    expect_votes(change, survivors)


def expect_one_way_told(stage, teller, deaf):
    change = change_without(stage, teller, deaf)
    expect(change, f"{teller.name} tells of no view without {deaf}")
    others = {node.name for node in stage.lab} - {deaf}
    told = [a for a in change["accusations"] if a["node"] == deaf and a["why"] == "one_way"]
    page = stage.vigil.ctl(teller, "why", "--membership").stdout
    expect(told, f"nobody says that {deaf} hears others no more; {teller.name} tells:\n{page}")
    expect(set(told[0]["heard_by"]) == others, f"{deaf} was heard by {told[0]['heard_by']}")
    expect(not set(told[0]["hears"]) & others, f"{deaf} heard {told[0]['hears']}")
    expect_votes(change, others)


def test_membership_is_told_and_survives_restarts(settings):
    """One node is killed, another hears nothing; a third tells both; so it does when all have restarted."""
    with cluster(settings, application=None, serial=False) as stage:
        teller, victim, deaf = stage.lab["alpha"], stage.lab["beta"], stage.lab["gamma"]
        victim.crash()
        expect(wait_until(lambda: change_without(stage, teller, victim.name), 10), f"{victim.name} was not left out")
        # The others' entries come a moment after the view.
        expect(wait_until(lambda: len(change_without(stage, teller, victim.name)["installed"]) == 2, 10),
               "the other survivor's entries did not come")
        expect_crash_told(stage, teller, victim.name)
        page = stage.vigil.ctl(teller, "why", "--membership").stdout
        expect(f"! {victim.name} could not be asked" in page, "who could not be asked is not said")
        stage.vigil.recover_node(victim)
        stage.healthy_again()
        for adapter in ADAPTERS:
            deaf.cut_one_way(adapter, "in")
        expect(wait_until(lambda: change_without(stage, teller, deaf.name), 10), f"{deaf.name} was not left out")
        expect(wait_until(lambda: len(change_without(stage, teller, deaf.name)["installed"]) == 2, 10),
               "the other member's entries did not come")
        expect_one_way_told(stage, teller, deaf.name)
        deaf.heal()
        stage.healthy_again()
        for node in stage.lab:
            node.reboot()
        for node in stage.lab:
            stage.vigil.start_node(node)
        stage.healthy_again()
        # On another node than before: its own file, and what it merges.
        for node in (teller, victim):
            expect_crash_told(stage, node, victim.name)
            expect_one_way_told(stage, node, deaf.name)
        page = stage.vigil.ctl(teller, "why", "--membership").stdout
        expect("could not be asked" not in page, f"all nodes are up:\n{page}")
