"""Who hears whom: any directed graph of nodes, on every adapter and serial line at once, while the client hears them
all, so that a second owner of an address would show.

Every loss has a name, under which it is taken back; several hold beside each other. What a node sends is lost at the
receiver's port of the switch, by its sender's hardware address: nothing of it passes, whatever the protocol. A serial
line is cut when either end is to be deaf to the other (a line carries both ways or none).
"""
import signal

from .shell import run


class Hearing:
    """lab.hearing: deafen(), apart() and narrow() until heard() again."""

    def __init__(self, lab, adapters):
        self.lab = lab
        self.adapters = tuple(adapters)
        self.deaf = {}     # name of the loss -> {(sender, receiver)}
        self.narrowed = {}  # name of the loss -> (node, bytes)
        self.cut_lines = set()
        self.macs = {}

    def deafen(self, *pairs, name="cut"):
        """For each (sender, receiver): the receiver gets nothing of what the sender sends."""
        self.deaf[name] = set(pairs)
        self._apply()

    def apart(self, *camps, name="cut"):
        """Nodes of different camps hear nothing of each other."""
        self.deafen(*((a, b) for camp in camps for other in camps if other is not camp for a in camp for b in other),
                    name=name)

    def narrow(self, node, frame_bytes, name="cut"):
        """Of this node's Ethernet links longer frames (with their Ethernet header) are lost, both ways."""
        self.narrowed[name] = (node, frame_bytes)
        self._apply()

    def heard(self, name=None):
        """Takes this loss back; all of them without a name."""
        for losses in (self.deaf, self.narrowed):
            if name is None:
                losses.clear()
            else:
                losses.pop(name, None)
        self._apply()

    def _macs_of(self, names):
        for name in names:
            if name not in self.macs:
                self.macs[name] = list(self.lab[name].macs().values())
        return ", ".join(mac for name in sorted(names) for mac in self.macs[name])

    def _rules_to(self, receiver):
        """What is lost on its way to this node."""
        rules = []
        senders = {a for pairs in self.deaf.values() for a, b in pairs if b == receiver}
        if senders:
            rules.append(f"ether saddr {{ {self._macs_of(senders)} }} drop")
        for node, frame_bytes in self.narrowed.values():
            senders = set(self.lab.nodes) - {receiver} if node == receiver else {node}
            rules.append(f"ether saddr {{ {self._macs_of(senders)} }} meta length > {frame_bytes} drop")
        return rules

    def _apply(self):
        """In one transaction: no moment lies between two graphs."""
        chains = []
        for node in self.lab:
            rules = "\n  ".join(self._rules_to(node.name))
            chains += [f'chain to_{node.name}_{a} {{\n  type filter hook egress device "{node.port(a)}" priority 0;'
                       f" policy accept;\n  {rules}\n }}" for a in self.adapters if rules]
        text = "\n ".join(chains)
        run("ip", "netns", "exec", self.lab.switch, "nft", "-f", "-",
            text_in=f"table netdev hearing {{}}\ndelete table netdev hearing\ntable netdev hearing {{\n {text}\n}}\n")
        pairs = {pair for pairs in self.deaf.values() for pair in pairs}
        self._cut_lines({ends for ends in self.lab.serial if ends in pairs or ends[::-1] in pairs})

    def _cut_lines(self, wanted):
        for ends in wanted - self.cut_lines:
            self.lab.serial[ends].send_signal(signal.SIGUSR1)
        for ends in self.cut_lines - wanted:
            self.lab.serial[ends].send_signal(signal.SIGUSR2)
        self.cut_lines = wanted
