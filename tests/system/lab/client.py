"""What a client sees: the millisecond probe, an observer of all owners at once, and a fetcher of pages."""
import json
import pathlib
import signal
import subprocess

from .namespaces import SERVICE_ADDRESS
from .shell import LabError, boot_ns, expect, wait_until


class Probe:
    """tools/bench/probe in the client's namespace. Times in its reports are turned into CLOCK_BOOTTIME ns."""

    def __init__(self, lab, address=SERVICE_ADDRESS, interval_us=1000, limit_s=900, answer_limit_ms=50, min_lost=1):
        self.log = lab.dir / f"probe-{len(lab.helpers)}.json"
        with open(self.log, "wb") as out:
            # exec by `ip netns exec`: the pid is the probe's own, signals reach it.
            self.process = lab.spawn_client(str(lab.bin / "probe"), "--address", address, "--interval-us",
                                            str(interval_us), "--limit-s", str(limit_s), "--answer-limit-ms",
                                            str(answer_limit_ms), "--min-lost", str(min_lost), stdout=out)
        self.answer_limit_s = answer_limit_ms / 1000
        # A signal before the program blocks it would end it.
        if not wait_until(self._is_ready, 5):
            raise LabError("the probe did not start; see helpers.log in the lab's directory")

    def _is_ready(self):
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return False
        blocked = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:")), 0)
        return "Name:\tprobe" in status and blocked & (1 << (signal.SIGUSR1 - 1))

    def _lines(self):
        return [line for line in self.log.read_text().split("\n")[:-1] if line]

    def snapshot(self):
        """What was seen until now."""
        count = len(self._lines())
        self.process.send_signal(signal.SIGUSR1)
        lines = wait_until(lambda: self._lines()[count:], 5)
        if not lines:
            raise LabError("the probe does not answer")
        return Picture(json.loads(lines[-1]))

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)
        return Picture(json.loads(self._lines()[-1]))

    def serving(self):
        """The node that answered last, or None when nothing was answered in the last 100 ms."""
        picture = self.snapshot()
        if not picture.runs or picture.now_ns - picture.runs[-1]["end_ns"] > 100_000_000:
            return None
        return picture.runs[-1]["server"]


class Picture:
    """One report of the probe, times as CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, report):
        start = report["start_boot_ns"]
        self.raw = report
        self.now_ns = start + int(report["now_ms"] * 1e6)
        self.runs = [self._absolute(run, start) for run in report["runs"]]
        self.outages = [self._absolute(outage, start) for outage in report["outages"]]
        self.violations = [self._absolute(run, start) for run in report["violations"]]

    @staticmethod
    def _absolute(item, start):
        item = dict(item)
        item["start_ns"] = start + int(item["start_ms"] * 1e6)
        if "end_ms" in item:
            item["end_ns"] = start + int(item["end_ms"] * 1e6)
        else:
            item["end_ns"] = item["start_ns"] + int(item["length_ms"] * 1e6)
        return item

    def outages_between(self, since_ns, until_ns=None):
        """The outages that touch this time."""
        until = until_ns or self.now_ns
        return [o for o in self.outages if o["end_ns"] > since_ns and o["start_ns"] < until]

    def outage_ms(self, since_ns, until_ns=None):
        """The longest single outage that touches this time; 0.0 when there was none."""
        return max((o["length_ms"] for o in self.outages_between(since_ns, until_ns)), default=0.0)

    def servers_between(self, since_ns, until_ns=None):
        """Who answered in this time, in order, without repetition next to each other."""
        until = until_ns or self.now_ns
        return [r["server"] for r in self.runs if r["end_ns"] > since_ns and r["start_ns"] < until]


class Observer:
    """sightings.py in the client's namespace: who answers for the service address, of all who could, all the time."""

    def __init__(self, lab, interval_us=2000, limit_s=900):
        self.log = lab.dir / f"sightings-{len(lab.helpers)}.jsonl"
        self.read_to = 0
        self.last = {"at_ns": 0, "asked": 0, "blind_ms": 0.0, "now": []}
        self.runs = []      # of one node's answers, by their end
        self.seen_two = {}  # (nodes, from_ns) -> two owners at one moment
        nodes = [f"{node.name}={','.join(node.macs().values())}" for node in lab]
        script = pathlib.Path(__file__).with_name("sightings.py")
        with open(self.log, "wb") as out:
            self.process = lab.spawn_client("/usr/bin/python3", str(script), SERVICE_ADDRESS, str(interval_us), str(limit_s),
                                            *nodes, stdout=out)
        if not wait_until(lambda: self.look()["asked"], 5):
            raise LabError("the observer did not start; see helpers.log in the lab's directory")

    def look(self):
        """Reads on; returns its newest account of itself."""
        with open(self.log, encoding="utf-8") as log:
            log.seek(self.read_to)
            whole = log.read().rpartition("\n")[0]
        if whole:
            self.read_to += len(whole) + 1
            for line in map(json.loads, whole.split("\n")):
                if "run" in line:
                    self.runs.append(line)
                elif "two" in line:
                    self.seen_two[(*line["two"], line["from_ns"])] = line
                else:
                    self.last = line
        if self.process.poll() is not None:
            raise LabError("the observer ended; see helpers.log in the lab's directory")
        return self.last

    def serving(self):
        """The nodes that answered in the last 100 ms, as of at most 100 ms ago."""
        return self.look()["now"]

    def expect_one_owner(self):
        """Never two at one moment since it began."""
        self.look()
        said = [f"{' and '.join(o['two'])} both answered for the address, for {(o['to_ns'] - o['from_ns']) / 1e6:.1f} ms "
                f"at {o['from_ns'] / 1e9:.3f} s of CLOCK_BOOTTIME" for o in self.seen_two.values()]
        expect(not said, "; ".join(said))


class Fetcher:
    """Fetches a page again and again (fetch.py in the client's namespace)."""

    def __init__(self, lab, interval_ms=20, limit_s=900):
        self.log = lab.dir / f"fetch-{len(lab.helpers)}.jsonl"
        self.read_to = 0
        self.seen = []
        script = pathlib.Path(__file__).with_name("fetch.py")
        with open(self.log, "wb") as out:
            self.process = lab.spawn_client("/usr/bin/python3", str(script), f"http://{SERVICE_ADDRESS}/",
                                            str(interval_ms), str(limit_s), stdout=out)

    def results(self):
        """[{"at_ns", "node" or None, "error"}], by the time at which each fetch began. Reads on where it stopped."""
        with open(self.log, encoding="utf-8") as log:
            log.seek(self.read_to)
            text = log.read()
        whole = text.rpartition("\n")[0]
        if whole:
            self.read_to += len(whole.encode()) + 1
            self.seen += [json.loads(line) for line in whole.split("\n")]
        return self.seen

    def outage_ms(self, since_ns):
        """The longest time between the beginnings of two good fetches with a failed one between."""
        longest, last_good, failed = 0.0, None, False
        results = self.results()
        for result in results:
            if result["node"] is None:
                failed = True
                continue
            if failed and last_good is not None and result["at_ns"] > since_ns:
                longest = max(longest, (result["at_ns"] - last_good) / 1e6)
            last_good, failed = result["at_ns"], False
        if failed and last_good is not None:
            longest = max(longest, (boot_ns() - last_good) / 1e6)
        return longest

    def page_node(self):
        """The node that the newest fetch showed, or None when it failed."""
        results = self.results()
        return results[-1]["node"] if results else None

    def finish(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
