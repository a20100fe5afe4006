"""Each fault of the demo, and what must hold about it, on a cluster of three with a watching client."""
import json
import os
import signal
import time

from lab.namespaces import ADAPTERS, SERVICE_ADDRESS
from lab.shell import wait_until
from lab.stage import expect
from lab.testing import cluster


def test_service_adapter_fails(settings):
    with cluster(settings) as stage:
        outcome = stage.swap_adapter()
        stage.lab[outcome.before].heal()
        stage.healthy_again()


def test_network_fails(settings):
    with cluster(settings) as stage:
        stage.fail_network()
        stage.healthy_again()


def test_every_network_of_the_owner_fails(settings):
    """With only its serial lines left a node is alive, but of no use: the group goes to another."""
    with cluster(settings) as stage:
        outcome, node = stage.begin()
        node.cut(*ADAPTERS)
        stage.end(outcome, lambda name: name != node.name, f"{node.name} has no network left")
        expect(stage.vigil.status(node), "vigild of the node without a network should live on")
        node.heal()
        stage.healthy_again()


def test_owner_crashes_and_comes_back(settings):
    with cluster(settings) as stage:
        outcome = stage.crash()
        expect(outcome.budget_ms and outcome.budget_ms["detect"] > 0, "`vigil why` does not know what detection took")
        total = sum(outcome.budget_ms[p] for p in ("detect", "agree", "fence", "address"))
        expect(total <= outcome.outage_ms * 1.5 + 100,
               f"the budget says {total:.0f} ms, the client saw {outcome.outage_ms:.0f} ms")
        stage.power_on(outcome.before)
        stage.healthy_again()
        expect(stage.vigil.owner() == outcome.after, "without fallback the group stays where it went")


def test_every_node_crashes_in_turn(settings):
    """A node that came back can take over itself: nothing is used up by a takeover."""
    with cluster(settings, application=None) as stage:
        owners = []
        for _ in range(3):
            outcome = stage.crash()
            owners.append(outcome.before)
            stage.power_on(outcome.before)
            stage.healthy_again()
        expect(len(set(owners)) > 1, f"the owners were {owners}")


def test_owner_freezes_and_thaws(settings):
    with cluster(settings) as stage:
        outcome = stage.freeze()
        stage.thaw(outcome)
        stage.healthy_again()


def test_a_short_freeze_takes_nothing_away(settings):
    """A stall far below the lease is no failure of anybody."""
    with cluster(settings) as stage:
        outcome, node = stage.begin()
        generation = stage.vigil.generation()
        node.freeze()
        time.sleep(0.04)
        node.thaw()
        time.sleep(1)
        expect(stage.vigil.generation() == generation, "the group changed its owner for a stall of 40 ms")
        stage.healthy_again()


def test_owner_is_alone(settings):
    with cluster(settings) as stage:
        outcome = stage.split()
        stage.lab[outcome.before].heal()
        stage.healthy_again()


def test_nobody_has_a_quorum(settings):
    """Each node alone: nobody serves, and nobody takes over; when they hear each other again, one does."""
    with cluster(settings, application=None) as stage:
        for node in stage.lab:
            node.cut_all(silently=True)
        # The client's own cables hold: it would hear an answer if one were sent on a healed port.
        expect(wait_until(lambda: not any(stage.adapter_of(n) for n in stage.lab), 10),
               "a node without a quorum still has the address")
        for node in stage.lab:
            node.heal()
        stage.healthy_again()
        stage.expect_one_server()


def test_operator_moves(settings):
    with cluster(settings) as stage:
        stage.move()
        stage.healthy_again()


def test_standby_and_online(settings):
    """A node in standby gives its group away and gets none; online again it is a candidate."""
    with cluster(settings, application=None) as stage:
        outcome, node = stage.begin()
        stage.vigil.ctl(node, "node", "standby", node.name)
        stage.end(outcome, lambda name: name != node.name, f"{node.name} is in standby")
        stage.vigil.ctl(node, "node", "online", node.name)
        stage.healthy_again()


def test_graceful_stop_with_takeover(settings):
    with cluster(settings, application=None) as stage:
        outcome, node = stage.begin()
        stage.vigil.ctl(node, "node", "stop", node.name, check=False)
        stage.end(outcome, lambda name: name != node.name, f"{node.name} was stopped with takeover")
        expect(wait_until(lambda: not node.processes.by_name("vigild"), 10), "vigild did not end")
        stage.vigil.start_node(node)
        stage.healthy_again()


def test_daemon_is_killed(settings):
    with cluster(settings) as stage:
        outcome = stage.kill_daemon()
        stage.restart_daemon(outcome.before)
        stage.healthy_again()


def test_a_killed_daemons_traces_are_removed(settings):
    """Address and gate of an earlier life are gone before the new one is a member again."""
    with cluster(settings, application=None) as stage:
        outcome = stage.kill_daemon()
        node = stage.lab[outcome.before]
        expect(stage.adapter_of(node), "the address went by itself? then this test tests nothing")
        stage.restart_daemon(node.name)
        expect(wait_until(lambda: stage.adapter_of(node) is None, 5), "the stale address was not removed")
        stage.healthy_again()
        stage.expect_one_server()


def test_agent_is_killed(settings):
    """The launcher starts the agent again; the group stays."""
    with cluster(settings) as stage:
        outcome, node = stage.begin()
        pids = node.processes.by_name("vigil-agent")
        expect(pids, "no vigil-agent runs")
        for pid in sorted(pids)[-1:]:
            os.kill(pid, signal.SIGKILL)
        expect(wait_until(lambda: set(node.processes.by_name("vigil-agent")) - set(pids), 10), "no new agent was started")
        stage.healthy_again()
        stage.end(outcome, lambda name: name == node.name, "the group should stay")


def test_application_dies(settings):
    with cluster(settings) as stage:
        outcome = stage.application_dies()
        stage.forgive(outcome.before)
        stage.healthy_again()


def test_one_way_link_is_told_from_a_dead_node(settings):
    """What one node sends on one adapter is lost: shown as one-way, and nobody is expelled."""
    with cluster(settings, application=None) as stage:
        other = next(n for n in stage.lab if n.name != stage.vigil.owner())
        members = stage.vigil.status(other)["members"]
        other.cut_one_way("eth0", "out")
        watcher = next(n for n in stage.lab if n is not other)

        def shown():
            links = json.loads(stage.vigil.ctl(watcher, "links", "--json").stdout)["links"]
            return any(link["peer"] == other.name and link["network"] == "public" and link["state"] in
                       ("one_way_in", "one_way_out", "down") for link in links)

        expect(wait_until(shown, 5), "`vigil links` does not show the one-way link")
        expect(stage.vigil.status(watcher)["members"] == members, "a node with a one-way link was expelled")
        other.heal()
        stage.healthy_again()


def test_the_owner_with_a_one_way_link_moves_the_address(settings):
    """The owner's answers are lost: the client must be served another way."""
    with cluster(settings, application=None) as stage:
        outcome, node = stage.begin()
        adapter = stage.adapter_of(node)
        node.cut_one_way(adapter, "out")
        stage.end(outcome, lambda name: True, "the address should answer again, whoever has it")
        expect(stage.vigil.owner() != node.name or stage.adapter_of(node) != adapter,
               "the address still is where its answers are lost")
        node.heal()
        stage.healthy_again()


def test_the_gate_holds_without_user_space(settings):
    """Freeze everything on a node whose links stay: silence within the lease, and not a second later."""
    with cluster(settings, application=None) as stage:
        stage.gate_silences(SERVICE_ADDRESS, stage.probe)
        stage.healthy_again()
