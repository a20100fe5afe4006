"""One vigil-arbiter on a host of its own votes in two clusters of two nodes each. Two clients would see it if an
address ever had two servers."""
import contextlib
import json
import os
import random
import signal
import time

from lab.client import Probe
from lab.namespaces import SERVICE_ADDRESS
from lab.shell import LabError, boot_ns, wait_until
from lab.stage import Stage, expect
from lab.testing import Skip, daemons
from lab.vigil import cluster_toml, cost_of

HOST = "epsilon"
CLUSTERS = {"first": (("alpha", "beta"), SERVICE_ADDRESS), "second": (("gamma", "delta"), "10.77.100.101")}
NODES = tuple(name for names, _ in CLUSTERS.values() for name in names)
STATE, RUN = "/var/lib/vigil-arbiter", "/run/vigil-arbiter"
WINDOW_S = 10
MOST_MEMORY_KB = 60 * 1024


class Cluster:
    """Two nodes and a client, with the arbiter's file and key beside it in the lab's arbiter.d."""

    def __init__(self, lab, vigil, name):
        self.lab, self.vigil, self.name = lab, vigil, name
        self.names, self.address = CLUSTERS[name]
        self.key = lab.dir / f"{name}-cluster.key"
        self.write_key(self.key)
        self.config = lab.dir / f"{name}.toml"
        self.text = cluster_toml(lab, names=(*self.names, HOST), adapters=("eth0",), candidates=self.names, cluster=name,
                                 service=self.address, key_file=self.key, of_node={HOST: ["arbiter = true"]})
        self.config.write_text(self.text)
        self.file = lab.dir / "arbiter.d" / f"{name}.toml"
        self.probe = Probe(lab, address=self.address)

    @staticmethod
    def write_key(path):
        path.write_text("")
        path.chmod(0o600)
        path.write_text(os.urandom(32).hex())

    def start(self, *names):
        for name in names or self.names:
            self.vigil.start_node(self.lab[name], config=self.config)
            Stage._start_responder(self.lab[name])

    def power_on(self, name):
        node = self.lab[name]
        node.reboot()
        node.heal()
        self.start(name)

    def seen_by_arbiter(self):
        """`vigil status --json` by the arbiter's own socket, or None."""
        node = self.lab[HOST]
        try:
            done = self.vigil.ctl(node, "status", "--json", check=False, timeout=5, socket=f"{RUN}/{self.name}.sock")
        except LabError:
            return None
        return json.loads(done.stdout) if done.returncode == 0 else None

    def life_of_arbiter(self):
        return next(node["start_id"] for node in self.vigil.status(self.lab[self.names[0]])["nodes"] if node["name"] == HOST)

    def is_whole(self, members):
        """These are one quorate view, as each of them says, and one of the nodes serves."""
        for name in members:
            status = self.seen_by_arbiter() if name == HOST else self.vigil.status(self.lab[name])
            if status is None or not status["quorate"] or set(status["members"]) != set(members):
                return False
        return self.probe.serving() in members

    def expect_whole(self, members, what, timeout_s=20):
        expect(wait_until(lambda: self.is_whole(members), timeout_s, every_s=0.05),
               f"{what}: cluster {self.name} should be {', '.join(members)}; the client is served by "
               f"{self.probe.serving()}, the arbiter says {self.brief(self.seen_by_arbiter())}, and "
               f"{ {n: self.brief(self.vigil.status(self.lab[n])) for n in self.names} }")

    @staticmethod
    def brief(status):
        return status and (status["role"], status["quorate"], status["members"])

    def everybody(self):
        return (*self.names, HOST)

    def crash_owner(self):
        """The owner's power goes; returns who is left."""
        owner = self.probe.serving()
        expect(owner in self.names, f"cluster {self.name} is served by {owner}")
        self.lab[owner].crash()
        return next(name for name in self.names if name != owner)


class Arbiter:
    """The process on its host."""

    def __init__(self, lab):
        self.lab = lab
        self.node = lab[HOST]
        self.child = None
        (lab.dir / "arbiter.d").mkdir()

    def start(self):
        self.child = self.spawn()

    def spawn(self):
        return self.node.spawn(str(self.lab.bin / "vigil-arbiter"), str(self.lab.dir / "arbiter.d"), "--state-dir",
                               STATE, "--run-dir", RUN, "--boot-id", self.node.boot_id, log="vigil-arbiter.log")

    def log(self):
        return (self.node.dir / "vigil-arbiter.log").read_text(errors="replace")

    def signal(self, number):
        for pid in self.node.processes.by_name("vigil-arbiter"):
            os.kill(pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        expect(wait_until(lambda: not self.node.processes.by_name("vigil-arbiter"), 5), "the arbiter survives SIGKILL")

    def expect_said(self, words, what, timeout_s=10):
        expect(wait_until(lambda: words in self.log(), timeout_s), f"{what}: the arbiter does not say '{words}'")


@contextlib.contextmanager
def two_clusters(settings, started=True):
    """(arbiter, first, second), all running when `started`."""
    with daemons(settings, names=(*NODES, HOST), serial=False) as (lab, vigil):
        if not (lab.bin / "vigil-arbiter").exists():
            raise Skip("not built: vigil-arbiter")
        arbiter = Arbiter(lab)
        first, second = (Cluster(lab, vigil, name) for name in CLUSTERS)
        if started:
            for cluster in (first, second):
                cluster.file.write_text(cluster.text)
                cluster.start()
            arbiter.start()
            for cluster in (first, second):
                cluster.expect_whole(cluster.everybody(), "after the start")
        yield arbiter, first, second
        for cluster in (first, second):
            seen = cluster.probe.finish()
            expect(seen.violations == [], f"cluster {cluster.name}: two nodes answered in turns: {seen.violations}")


def expect_no_outage(cluster, since_ns, what):
    outages = cluster.probe.snapshot().outages_between(since_ns)
    expect(outages == [], f"{what}: the client of cluster {cluster.name} went unanswered: {outages}")


def test_its_vote_keeps_two_clusters_alive(settings):
    with two_clusters(settings) as (arbiter, first, second):
        told = first.vigil.ctl(first.lab["alpha"], "quorum").stdout
        expect("arbiter: votes, and runs nothing" in told, f"alpha's vigil quorum says: {told}")
        time.sleep(2)
        began, before = time.monotonic(), cost_of(arbiter.node)
        time.sleep(WINDOW_S)
        cost, window_s = cost_of(arbiter.node), time.monotonic() - began
        print(f"       two clusters, idle: {100 * (cost.cpu_s - before.cpu_s) / window_s:.2f} % of a core, "
              f"{(cost.wake_ups - before.wake_ups) / window_s:.0f} wake-ups a second, {cost.resident_kb} kB")
        expect(cost.resident_kb <= MOST_MEMORY_KB, f"{cost.resident_kb} kB resident; at most {MOST_MEMORY_KB}")
        # A restart while nothing else fails.
        since = boot_ns()
        arbiter.kill()
        for cluster in (first, second):
            cluster.expect_whole(cluster.names, "without the arbiter")
        arbiter.start()
        for cluster in (first, second):
            cluster.expect_whole(cluster.everybody(), "with the arbiter again")
            expect_no_outage(cluster, since, "the arbiter was killed and came back")
        # Each owner dies, and the arbiter's vote is what the other one goes on with.
        for cluster in (first, second):
            left = cluster.crash_owner()
            cluster.expect_whole((left, HOST), "after a crash")
            expect(cluster.probe.serving() == left, f"cluster {cluster.name} is served by {cluster.probe.serving()}")
        arbiter.kill()
        for cluster in (first, second):
            expect(wait_until(lambda c=cluster: c.probe.serving() is None, 10), f"cluster {cluster.name} is served by one vote of three")


def test_a_broken_cluster_disturbs_no_other(settings):
    with two_clusters(settings, started=False) as (arbiter, first, second):
        lab = arbiter.lab
        own_key = lab.dir / "arbiter.d" / "first.key"
        first.write_key(own_key)
        own_key.chmod(0o644)
        first.file.write_text(first.text)
        second.file.write_text(second.text)
        (lab.dir / "arbiter.d" / "third.toml").write_text("version = 1\n[cluster]\nname = 3\n")
        check = arbiter.node.run(str(lab.bin / "vigil-arbiter"), "--check", str(lab.dir / "arbiter.d"), check=False)
        expect(check.returncode == 1 and "third.toml:3:8" in check.stderr and "first.key" in check.stderr
               and "cluster 'second' of 3 nodes" in check.stdout, f"--check says: {check.stdout} {check.stderr}")
        first.start("alpha")
        second.start()
        arbiter.start()
        second.expect_whole(second.everybody(), "beside two that are broken")
        arbiter.expect_said("third.toml:3:8", "a bad file")
        arbiter.expect_said("first.toml: cluster 'first' is not served", "a bad key")
        expect(first.probe.serving() is None and first.seen_by_arbiter() is None, "a cluster with a bad key is served")
        since = boot_ns()
        life = second.life_of_arbiter()
        # Mended: the arbiter and one node are a majority.
        own_key.unlink()
        (lab.dir / "arbiter.d" / "third.toml").unlink()
        arbiter.signal(signal.SIGHUP)
        first.expect_whole(("alpha", HOST), "mended")
        first.start("beta")
        first.expect_whole(first.everybody(), "all there")
        # Changed: its key is beside its file now. That cluster alone starts anew.
        before = first.life_of_arbiter()
        own_key.write_text(first.key.read_text())
        own_key.chmod(0o600)
        arbiter.signal(signal.SIGHUP)
        expect(wait_until(lambda: first.is_whole(first.everybody()) and first.life_of_arbiter() != before, 20),
               "a changed file does not start its cluster anew")
        # A second process for the same clusters is refused by each.
        twin = arbiter.spawn()
        arbiter.expect_said("cluster 'second' is not served: lock the state file", "a second process")
        twin.terminate()
        expect(wait_until(lambda: len(arbiter.node.processes.by_name("vigil-arbiter")) == 1, 10), "the second process stays")
        # Gone: it leaves in good order, which costs nobody anything.
        first.file.unlink()
        arbiter.signal(signal.SIGHUP)
        first.expect_whole(first.names, "without the arbiter's file")
        arbiter.expect_said("vigil-arbiter: first: left the cluster", "a vanished file")
        expect(not wait_until(lambda: first.is_whole(first.everybody()), 1), "the arbiter is back")
        # Changed for the worse: it goes on as before.
        second.file.write_text("version = ")
        arbiter.signal(signal.SIGHUP)
        arbiter.expect_said("cluster 'second' goes on as it is", "a file that went bad")
        second.expect_whole(second.everybody(), "with a file that went bad")
        expect_no_outage(second, since, "another cluster came and went")
        expect(second.life_of_arbiter() == life, "the arbiter's node of the other cluster started anew")


def test_a_full_disk_of_one_cluster(settings):
    """The arbiter stops voting where it cannot store its votes, and there alone."""
    with two_clusters(settings, started=False) as (arbiter, first, second):
        arbiter.node.run("sh", "-c", f"mkdir -p {STATE}/first && mount -t tmpfs -o size=256k tmpfs {STATE}/first && "
                         f"dd if=/dev/zero of={STATE}/first/ballast bs=4k 2>/dev/null; true")
        for cluster in (first, second):
            cluster.file.write_text(cluster.text)
            cluster.start()
        arbiter.start()
        second.expect_whole(second.everybody(), "beside a full disk")
        first.expect_whole(first.names, "without a vote of the arbiter")
        arbiter.expect_said("vigil-arbiter: first: the state file cannot be written", "a full disk")
        since = boot_ns()
        arbiter.node.run("rm", f"{STATE}/first/ballast")
        first.expect_whole(first.everybody(), "with room on the disk", 30)
        expect_no_outage(second, since, "the other cluster's disk has room again")


def test_a_restart_right_before_the_owner_freezes(settings):
    """Whatever the arbiter forgot, nobody takes over before the frozen owner's lease is over: the clients of both
    clusters see one server at a time. With the arbiter in the view again the other node takes over; before that, two of
    three voters' lives are over or frozen, and serving nothing until the owner is back is right."""
    dice = random.Random(20)
    with two_clusters(settings) as (arbiter, first, second):
        early = 0
        for turn in range(4):
            frozen = {}
            arbiter.kill()
            arbiter.start()
            for cluster in (first, second):
                time.sleep(dice.uniform(0, 0.25))
                owner = cluster.probe.serving()
                expect(owner in cluster.names, f"turn {turn}: cluster {cluster.name} is served by {owner}")
                admitted = (cluster.seen_by_arbiter() or {"role": None})["role"] == "member"
                # The responder lives on: it is the kernel's gate that has to silence the address.
                for pid in cluster.lab[owner].processes.by_name("vigild"):
                    os.kill(pid, signal.SIGSTOP)
                frozen[cluster] = owner, admitted
                early += not admitted
            time.sleep(1)
            for cluster, (owner, admitted) in frozen.items():
                left = next(name for name in cluster.names if name != owner)
                if admitted:
                    cluster.expect_whole((left, HOST), f"turn {turn}, {owner} frozen")
                expect(cluster.probe.serving() in (left, None), f"turn {turn}: {owner} is frozen, and serves")
                for pid in cluster.lab[owner].processes.by_name("vigild"):
                    os.kill(pid, signal.SIGCONT)
            for cluster in (first, second):
                cluster.expect_whole(cluster.everybody(), f"turn {turn}, thawed", 30)
        print(f"       {early} of 8 owners froze before the arbiter was back in the view")
