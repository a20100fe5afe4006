"""Vigil in the lab: writes its configuration, starts and stops its daemons, asks it through its command."""
import dataclasses
import json
import os
import pathlib

from .cluster import Cluster
from .namespaces import ADAPTERS, SERVICE_ADDRESS, boot_address
from .processes import command_name
from .shell import LabError, run, wait_until

GROUP = "web"


def cluster_toml(lab, profile="lan", application=None, extra="", key_file=None, fallback=False, names=None,
                 adapters=tuple(ADAPTERS), of_node=None, candidates=None, cluster="lab", service=SERVICE_ADDRESS,
                 private_heartbeat="udp"):
    """The lab as cluster.toml. `application`: lines of [group.application], or None for an address alone.
    `names`: of the nodes that it has, all of the lab's by default. `adapters`: those of each node that it uses.
    `of_node`: more lines of [[node]] by name. `candidates`: who may run the group, by default everybody.
    `cluster`: its name. `service`: the group's address. `private_heartbeat`: how the second network carries
    heartbeats."""
    names = names or list(lab.nodes)
    two_networks = {ADAPTERS[a] for a in adapters} == {"public", "private"}
    text = ["version = 1", "[cluster]", f'name = "{cluster}"', f'profile = "{profile}"',
            f'key_file = "{key_file or lab.dir / "cluster.key"}"',
            "[[network]]", 'name = "public"', 'heartbeat = ["ethernet"]']
    if two_networks:
        text += ['backup = "private"', "[[network]]", 'name = "private"', f'heartbeat = ["{private_heartbeat}"]']
    for a, b in lab.serial:
        text += ["[[network]]", f'name = "line-{a}-{b}"', 'kind = "serial"']
    for number, node in enumerate((lab[name] for name in names), 1):
        text += ["[[node]]", f'name = "{node.name}"', f"id = {number}", *(of_node or {}).get(node.name, [])]
        for adapter, segment in ((a, ADAPTERS[a]) for a in adapters):
            role = "standby" if adapter == "eth1" else "service"
            text += ["  [[node.adapter]]", f'  network = "{segment}"', f'  device = "{adapter}"',
                     f'  address = "{boot_address(node.index, adapter)}"', f'  role = "{role}"']
        for ends in lab.serial:
            if node.name in ends:
                peer = ends[1] if ends[0] == node.name else ends[0]
                text += ["  [[node.adapter]]", f'  network = "line-{ends[0]}-{ends[1]}"',
                         f'  device = "{lab.serial_device(node.name, peer)}"', f'  peer = "{peer}"',
                         f"  baud = {lab.baud}"]
    text += ["[[group]]", f'name = "{GROUP}"', "nodes = [" + ", ".join(f'"{n}"' for n in candidates or names) + "]",
             f"fallback = {str(fallback).lower()}", "  [[group.address]]", f'  address = "{service}/24"',
             '  network = "public"']
    if application:
        text += ["  [group.application]", *[f"  {line}" for line in application]]
    return "\n".join(text) + "\n" + extra


class Vigil(Cluster):
    """The cluster of one lab."""

    name = "vigil"

    def __init__(self, lab, profile="lan", application=None, extra=""):
        self.lab = lab
        self.profile = profile
        self.config = lab.dir / "cluster.toml"
        key = lab.dir / "cluster.key"
        if not key.exists():
            descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, os.urandom(32).hex().encode())
            os.close(descriptor)
        self.config.write_text(cluster_toml(lab, profile, application, extra))

    # ---- daemons ----

    @staticmethod
    def missing(lab):
        """Which of the programs are not built."""
        return [p for p in ("vigild", "vigil-agent", "vigil") if not (lab.bin / p).exists()]

    def start_node(self, node, config=None, name=None, env=None):
        """Starts vigild, as systemd would; its log is DIR/<node>/vigild.log. `name`: what it takes itself for."""
        return node.spawn(str(self.lab.bin / "vigild"), "--config", str(config or self.config), "--node",
                          name or node.name, "--state-dir", "/var/lib/vigil", "--run-dir", "/run/vigil", "--boot-id",
                          node.boot_id, "--foreground", log="vigild.log", env=env)

    def stop(self):
        """kill -9 of all, and the traces that a reboot would remove."""
        for node in self.lab:
            node.reboot()
            node.run("sh", "-c", "rm -rf /var/lib/vigil/*", check=False)

    def log(self, node):
        path = node.dir / "vigild.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ---- asking ----

    def ctl(self, node, *words, check=True, timeout=30, socket="/run/vigil/control.sock"):
        """Runs `vigil …` on a node; returns its CompletedProcess."""
        return node.run(str(self.lab.bin / "vigil"), "--socket", socket, *words, check=check, timeout=timeout)

    def status(self, node):
        """`vigil status --json` of one node, or None while it does not answer."""
        try:
            done = self.ctl(node, "status", "--json", check=False, timeout=5)
            return json.loads(done.stdout) if done.returncode == 0 else None
        except (LabError, ValueError):
            return None

    def group(self, node, name=GROUP):
        status = self.status(node)
        return next((g for g in status["groups"] if g["name"] == name), None) if status else None

    def owner(self, name=GROUP):
        """The node that the cluster says has the group online, by the first node that knows; or None."""
        for node in self.lab:
            status = self.status(node)
            if not status or status["role"] != "member" or not status["quorate"]:
                continue
            for group in status["groups"]:
                if group["name"] == name and group["phase"] == "online":
                    return group["owner"]
        return None

    def problem(self):
        """Why the cluster is not in full health, in one line; None when it is."""
        owners = set()
        for node in self.lab:
            status = self.status(node)
            if status is None:
                return f"{node.name}: vigild does not answer"
            if status["role"] != "member":
                return f"{node.name}: {status['role']}: {status['role_text']}"
            # A link that failed twice within the minute is told as one that comes and goes. Here that is our doing.
            problems = [str(p) for p in status["problems"] if "comes and goes" not in str(p)]
            if problems:
                return f"{node.name}: {'; '.join(problems)}"
            if set(status["members"]) != set(self.lab.nodes):
                return f"{node.name}: members are {', '.join(status['members'])}"
            for group in status["groups"]:
                if group["phase"] != "online":
                    return f"group {group['name']} is {group['phase']}: {group['reason_text']} {group['blocked_text']}"
                owners.add((group["name"], group["owner"]))
        if len(owners) != len(status["groups"]):
            return f"the nodes do not agree on who has what: {sorted(owners)}"
        return None

    def wait_healthy(self, timeout_s=30):
        """Waits for full health; raises a LabError with the reason when it does not come."""
        last = "not asked yet"

        def healthy():
            nonlocal last
            last = self.problem()
            return last is None

        if not wait_until(healthy, timeout_s, every_s=0.1):
            raise LabError(f"the cluster is not healthy after {timeout_s} s: {last}")

    def wait_owner(self, expected, timeout_s=15):
        """Waits until a node for which expected(name) holds is the owner; returns its name, or None."""
        found = None

        def there():
            nonlocal found
            found = self.owner()
            return found is not None and expected(found)

        return found if wait_until(there, timeout_s, every_s=0.05) else None

    def move(self, target, timeout_s=20):
        self.ctl(self.lab[target], "move", GROUP, target, timeout=timeout_s)

    def graceful(self, owner):
        """A graceful move to the next node of the list."""
        names = list(self.lab.nodes)
        self.move(names[(names.index(owner) + 1) % len(names)])

    def after_graceful(self, owner):
        """Nothing to do: the node stayed in the cluster."""

    def budget(self, excluded):
        """budget_ms of the newest takeover, asked of a node other than `excluded` (it may be dead)."""
        for node in self.lab:
            if node.name == excluded:
                continue
            told = self.takeovers(node)
            if told and told[-1]["budget_ms"]:
                return told[-1]["budget_ms"]
        return {}

    def takeovers(self, node, last=1):
        """The newest takeovers of the group as `vigil why --json` tells them, oldest first."""
        try:
            return json.loads(self.ctl(node, "why", GROUP, "--json", "--last", str(last)).stdout)["takeovers"]
        except (LabError, ValueError, KeyError):
            return []

    def story(self):
        """What every node's log says, a list of lines: to explain what should not have happened."""
        return [f"{node.name}: {line}" for node in self.lab for line in self.log(node).splitlines()]

    def generation(self):
        """Of the group: grows with every change of owner."""
        for node in self.lab:
            group = self.group(node)
            if group:
                return group["generation"]
        return None

    def spurious(self):
        """Lease gaps on healthy members, over all nodes: each is an outage that nobody's failure caused."""
        return sum((self.status(node) or {}).get("lease_gaps", 0) for node in self.lab)


@dataclasses.dataclass
class Cost:
    """What all our processes of one node take, from /proc."""
    resident_kb: int  # pages that they share (libraries, the launcher's fork) count once
    cpu_s: float      # of every thread; nanoseconds on a processor, for ticks look far dearer with what timers wake
    wake_ups: int     # times that a thread gave the processor away by itself, to wait


def cost_of(node):
    private, shared, run_ns, wake_ups = 0, 0, 0, 0
    for pid in node.processes.pids():
        if not (command_name(pid) or "").startswith("vigil"):
            continue
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                kb = {line.split(":")[0]: int(line.split()[1]) for line in rollup if line.endswith("kB\n")}
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                run_ns += int((thread / "schedstat").read_text().split()[0])
                wake_ups += next(int(line.split()[1]) for line in (thread / "status").read_text().splitlines()
                                 if line.startswith("voluntary_ctxt_switches"))
        except OSError:
            continue
        private += kb["Private_Clean"] + kb["Private_Dirty"]
        shared = max(shared, kb["Shared_Clean"] + kb["Shared_Dirty"])
    return Cost(private + shared, run_ns / 1e9, wake_ups)


def check_config(lab, path):
    """`vigil check-config FILE`; returns (exit status, what it said)."""
    done = run(str(lab.bin / "vigil"), "check-config", str(path), check=False)
    return done.returncode, done.stdout + done.stderr
