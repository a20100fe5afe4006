"""A group with an IPv4 and an IPv6 service address: both move together, and the IPv6 one is announced, gated and
served by one node alone, as a client sees it that asks both."""
import contextlib
import json
import pathlib
import sys

from lab.client import Probe
from lab.namespaces import SERVICE_ADDRESS, SERVICE_ADDRESS_6
from lab.shell import wait_until
from lab.stage import ADDRESS_BOUND_MS, GRACEFUL_BOUND_MS, expect
from lab.testing import cluster

SECOND_ADDRESS = f"""
  [[group.address]]
  address = "{SERVICE_ADDRESS_6}/64"
  network = "public"
"""
ALL_NODES = "ff02::1"


class Listener:
    """advertisements.py in the client's namespace."""

    def __init__(self, lab):
        self.log = lab.dir / "advertisements.jsonl"
        script = pathlib.Path(__file__).with_name("lab") / "advertisements.py"
        with open(self.log, "wb") as out:
            lab.spawn_client(sys.executable, str(script), "both", SERVICE_ADDRESS_6, "120", stdout=out)
        expect(wait_until(self._lines, 5), "advertisements.py did not start; see helpers.log")

    def _lines(self):
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def unsolicited(self, mac, since_ns):
        """Those that this adapter sent to everybody since then."""
        return [line for line in self._lines()[1:] if line["at_ns"] > since_ns and line["mac"] == mac
                and line["destination"] == ALL_NODES and not line["solicited"]]


class DualStack:
    """The stage, and what is watched on IPv6 beside it."""

    def __init__(self, stage):
        self.stage = stage
        self.probe = Probe(stage.lab, SERVICE_ADDRESS_6)
        self.listener = Listener(stage.lab)
        expect(wait_until(lambda: self.probe.serving() == stage.vigil.owner(), 10),
               f"the cluster is healthy, but {SERVICE_ADDRESS_6} does not answer from its owner")

    def check(self, outcome, bound_ms):
        """After an act: the same node serves IPv6, from the same adapter, announced, within the bound, and alone."""
        expect(wait_until(lambda: self.probe.serving() == outcome.after, 5),
               f"{SERVICE_ADDRESS_6} answers from {self.probe.serving()}, and {SERVICE_ADDRESS} from {outcome.after}")
        node = self.stage.lab[outcome.after]
        adapter = node.addresses().get(SERVICE_ADDRESS_6)
        expect(adapter is not None and adapter == self.stage.adapter_of(node),
               f"{node.name} has {SERVICE_ADDRESS_6} on {adapter}, and {SERVICE_ADDRESS} on {self.stage.adapter_of(node)}")
        told = self.listener.unsolicited(node.macs()[adapter], outcome.since_ns)
        expect(told, f"no neighbour advertisement to everybody came from {node.name}'s {adapter}")
        for line in told:
            expect(line["override"] and line["target_mac"] == node.macs()[adapter],
                   f"an advertisement that moves no neighbour's entry: {line}")
        picture = self.probe.snapshot()
        outage = picture.outage_ms(outcome.since_ns)
        expect(outage <= bound_ms, f"the client waited {outage:.0f} ms for {SERVICE_ADDRESS_6}; at most {bound_ms:.0f} ms are promised")
        expect(not picture.violations, f"two nodes answered in turns: {picture.violations}")


@contextlib.contextmanager
def dual_stack(settings):
    with cluster(settings, application=None, extra=SECOND_ADDRESS) as stage:
        yield stage, DualStack(stage)


def test_owner_crashes(settings):
    with dual_stack(settings) as (stage, six):
        outcome = stage.crash()
        six.check(outcome, ADDRESS_BOUND_MS)
        stage.power_on(outcome.before)
        stage.healthy_again()
        expect(not six.probe.snapshot().violations, "two nodes answered in turns once the crashed one was back")


def test_service_adapter_fails(settings):
    with dual_stack(settings) as (stage, six):
        outcome = stage.swap_adapter()
        six.check(outcome, ADDRESS_BOUND_MS)
        stage.lab[outcome.before].heal()
        stage.healthy_again()


def test_operator_moves(settings):
    with dual_stack(settings) as (stage, six):
        outcome = stage.move()
        six.check(outcome, GRACEFUL_BOUND_MS)
        expect(SERVICE_ADDRESS_6 not in stage.lab[outcome.before].addresses(), "the released address is still there")
        stage.healthy_again()


def test_owner_freezes_and_thaws(settings):
    with dual_stack(settings) as (stage, six):
        outcome = stage.freeze()
        six.check(outcome, ADDRESS_BOUND_MS)
        stage.thaw(outcome)
        expect(outcome.before not in six.probe.snapshot().servers_between(outcome.since_ns + 500_000_000),
               f"{outcome.before} answered on {SERVICE_ADDRESS_6} again after it thawed")
        stage.healthy_again()


def test_the_gate_holds_without_user_space(settings):
    with dual_stack(settings) as (stage, six):
        stage.gate_silences(SERVICE_ADDRESS_6, six.probe)
        stage.healthy_again()
