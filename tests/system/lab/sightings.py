"""Who answers for an address, asked of everybody at once: sightings.py ADDRESS INTERVAL_US LIMIT_S NODE=MAC[,MAC]…

A client that asks one server sees a second one only when it is sent to it. So this one broadcasts: every interval one
ARP request from an address of its own, each with a sender's hardware address that numbers it, which every answer
repeats. The kernel of a node answers as long as the address is there and its gate is open, whatever its processes do.

What is concluded is certain. An answer to a request that was sent at s and came back at r shows that its node served
at some moment of s..r. A run is a node's answers without a gap; it served from its first r at the latest to its last s
at the earliest. Two nodes whose such times overlap were owners at one moment.

Prints JSON lines: {"run": node, "from_ns", "to_ns", "answers"} when a run is over, {"two": [a, b], "from_ns", "to_ns"}
when an overlap is seen, and again when it has ended, and every 100 ms {"at_ns", "asked", "blind_ms", "now": [nodes]}:
blind is the time in which it could not ask (this machine's doing).
"""
import dataclasses
import json
import os
import select
import socket
import struct
import sys
import time

# Answers further apart do not show what lay between: a takeover and the way back take longer.
GAP_NS = 10_000_000
TELL_NS = 100_000_000
OWN_ADDRESS = "10.77.100.251"
NUMBERED = b"\x02\x76"  # then 32 bits
REALTIME_PRIORITY = 30


@dataclasses.dataclass
class Run:
    node: str
    first_received_ns: int
    last_sent_ns: int
    answers: int = 1


class Sightings:
    """Pure: answers in, runs and overlaps out."""

    def __init__(self):
        self.open = {}      # node -> Run
        self.overlaps = {}  # (a, b) -> [from, to], while both runs last
        self.told = []      # dictionaries, for whoever prints them

    def answered(self, node, sent_ns, received_ns):
        run = self.open.get(node)
        if run is not None and sent_ns - run.last_sent_ns > GAP_NS:
            self._close(run)
            run = None
        if run is None:
            run = self.open[node] = Run(node, received_ns, sent_ns)
        else:
            run.last_sent_ns = max(run.last_sent_ns, sent_ns)
            run.answers += 1
        for other in self.open.values():
            if other is not run:
                self._compare(run, other)

    def passed(self, now_ns):
        """Ends the runs that no answer can continue any more: what is asked now comes after the gap."""
        for run in [r for r in self.open.values() if now_ns - r.last_sent_ns > 100 * GAP_NS]:
            self._close(run)

    def serving(self, now_ns):
        return sorted(n for n, r in self.open.items() if now_ns - r.last_sent_ns <= TELL_NS)

    def _compare(self, run, other):
        begin = max(run.first_received_ns, other.first_received_ns)
        end = min(run.last_sent_ns, other.last_sent_ns)
        if end <= begin:
            return
        pair = tuple(sorted((run.node, other.node)))
        if pair not in self.overlaps:
            self.told.append({"two": pair, "from_ns": begin, "to_ns": end})
        self.overlaps[pair] = [begin, end]

    def _close(self, run):
        del self.open[run.node]
        self.told.append({"run": run.node, "from_ns": run.first_received_ns, "to_ns": run.last_sent_ns,
                          "answers": run.answers})
        for pair in [p for p in self.overlaps if run.node in p]:
            begin, end = self.overlaps.pop(pair)
            self.told.append({"two": pair, "from_ns": begin, "to_ns": end})

    def finish(self):
        for run in list(self.open.values()):
            self._close(run)


class Asker:
    """The packet socket; requests by their number."""

    def __init__(self, address, device, node_of):
        self.node_of = node_of  # hardware address -> node
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self.socket.bind((device, 0x0806))
        # The answers go to the numbers, which are nobody's addresses.
        self.socket.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(device), 1, 0, b""))
        self.socket.setblocking(False)
        self.own_mac = self.socket.getsockname()[4]
        self.target = socket.inet_aton(address)
        self.sent = []

    def ask(self):
        number = NUMBERED + struct.pack("!I", len(self.sent))
        self.sent.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        frame = (b"\xff" * 6 + self.own_mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + number
                 + socket.inet_aton(OWN_ADDRESS) + bytes(6) + self.target)
        try:
            self.socket.send(frame)
        except OSError:
            pass  # asked, and not heard: as if nobody answered

    def answers(self):
        """(node, sent, received) of all that came."""
        while True:
            try:
                frame = self.socket.recv(64)
            except BlockingIOError:
                return
            received = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            if len(frame) < 42 or frame[20:22] != b"\0\2" or frame[28:32] != self.target or frame[32:34] != NUMBERED:
                continue
            number = struct.unpack("!I", frame[34:38])[0]
            if number < len(self.sent):
                yield self.node_of.get(frame[22:28], frame[22:28].hex(":")), self.sent[number], received


def main(address, interval_us, limit_s, *nodes):
    node_of = {bytes.fromhex(mac.replace(":", "")): name for name, _, macs in (n.partition("=") for n in nodes)
               for mac in macs.split(",")}
    asker, seen = Asker(address, "both", node_of), Sightings()
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    interval, blind = int(interval_us) * 1000, 0
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    end, tell, due = now + int(limit_s) * 1_000_000_000, now, now
    while now < end:
        if now >= due:
            blind += now - due if now - due > GAP_NS else 0
            asker.ask()
            due = max(due + interval, now)
        select.select([asker.socket], [], [], max(0, due - now) / 1e9)
        for answer in asker.answers():
            seen.answered(*answer)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if now >= tell or seen.told:
            seen.passed(now)
            for line in seen.told:
                print(json.dumps(line))
            seen.told.clear()
            print(json.dumps({"at_ns": now, "asked": len(asker.sent), "blind_ms": blind / 1e6, "now": seen.serving(now)}),
                  flush=True)
            tell = now + TELL_NS


if __name__ == "__main__":
    main(*sys.argv[1:])
