"""Builds the lab: every node a network, mount and host-name namespace; the segments are bridges in a
namespace of their own, so that nothing of the host takes part; a client on both segments.

    segment public    eth0 (service) and eth1 (standby) of each node, the client
    segment private   eth2 of each node, the client
    serial lines      one between each two nodes: pseudo-terminals joined by tools/demo/nullmodem

The client's two ports lie on one bridge, isolated from each other: it has one address that hears both
segments, and joins them for nobody else. Service addresses have a subnet of their own (a node then
answers through the adapter that has the address, whatever else is cut). The client alone has IPv6 on its
side, and nodes as the kernel gives it to them: link-local addresses, and the service addresses of a test.
"""
import concurrent.futures
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from .hearing import Hearing
from .processes import Processes, lab_cgroup, remove_cgroup
from .shell import LabError, ip_batch, run, wait_until

SEGMENTS = ("public", "private")
ADAPTERS = {"eth0": "public", "eth1": "public", "eth2": "private"}
SERVICE_ADDRESS = "10.77.100.100"
SERVICE_ADDRESS_6 = "fd77:0:0:100::100"
CLIENT_ADDRESS = "10.77.100.250"
CLIENT_ADDRESS_6 = "fd77:0:0:100::250"
LAB_PREFIX = "vigil-lab-"
LAB_PARENT = pathlib.Path("/tmp")

# The node's own mount namespace: nothing that a daemon writes to /run or /var/lib reaches the host.
HOLDER_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mkdir -p /run/vigil /var/lib/vigil
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || true
hostname "$1"
for key in arp_ignore=1 arp_announce=2 rp_filter=0; do
  echo "${key#*=}" > "/proc/sys/net/ipv4/conf/all/${key%=*}"
  echo "${key#*=}" > "/proc/sys/net/ipv4/conf/default/${key%=*}"
done
echo ready
exec sleep infinity
"""


def boot_address(index, adapter):
    """The boot address of an adapter of the node with this index (from 0)."""
    return {"eth0": f"10.77.1.{index + 1}/24", "eth1": f"10.77.1.{index + 101}/24",
            "eth2": f"10.77.2.{index + 1}/24"}[adapter]


class Node:
    """One node. `up` from the lab's start on; what runs in it is for others to start."""

    def __init__(self, lab, index, name):
        self.lab = lab
        self.index = index
        self.name = name
        self.namespace = f"{lab.name}-{name}"
        self.dir = lab.dir / name
        self.boots = 0
        self.boot_id = ""
        self.holder = None
        self.processes = None

    # ---- life ----

    def build(self):
        self.dir.mkdir()
        run("ip", "netns", "add", self.namespace)
        lines = []
        for number, (adapter, segment) in enumerate(ADAPTERS.items()):
            # Different interface indexes at both ends: with equal ones the kernel reports the loss of
            # carrier a second late.
            inner, outer = 11 + number, 1000 + 10 * self.index + number
            lines.append(f"link add {self.port(adapter)} index {outer} type veth "
                         f"peer name {adapter} index {inner} netns {self.namespace}")
            lines.append(f"link set {self.port(adapter)} master {segment} up")
        ip_batch(self.lab.switch, lines)
        self.holder = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--mount", "--propagation", "private",
             "sh", "-c", HOLDER_SCRIPT, "sh", self.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        if self.holder.stdout.readline().strip() != b"ready":
            raise LabError(f"node {self.name}: {self.holder.stderr.read().decode().strip()}")
        cgroup = self.lab.cgroup / self.name if self.lab.cgroup else None
        self.processes = Processes(cgroup, self.holder.pid)
        self._set_up_interfaces()
        self.new_boot()

    def new_boot(self):
        """A new synthetic boot id, as a reboot gives."""
        self.boots += 1
        self.boot_id = os.urandom(8).hex()

    def _set_up_interfaces(self):
        lines = ["link set lo up"]
        for adapter in ADAPTERS:
            lines += [f"address add {boot_address(self.index, adapter)} dev {adapter}", f"link set {adapter} up"]
        ip_batch(self.namespace, lines)

    def reboot(self):
        """What a reboot does to a kernel that in truth lived on: no processes, no service addresses, no
        filters, an empty /run, a new boot id. The disk (/var/lib/vigil) stays. Links are as they were."""
        self.processes.kill()
        for adapter in ADAPTERS:
            run("tc", "-n", self.namespace, "qdisc", "del", "dev", adapter, "clsact", check=False)
            run("ip", "-n", self.namespace, "address", "flush", "dev", adapter, "scope", "global")
        self.run("sh", "-c", "rm -rf /run/* && mkdir -p /run/vigil && rm -rf /sys/fs/bpf/*", check=False)
        self._set_up_interfaces()
        self.new_boot()

    def close(self):
        if self.processes is not None:
            self.processes.kill()
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()

    # ---- running things inside ----

    def run(self, *command, check=True, timeout=30):
        """Runs a command inside the node to its end; it does not count as one of the node's processes."""
        return run("nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--uts", "--", *command,
                   check=check, timeout=timeout)

    def spawn(self, *command, log="output.log", env=None):
        """Starts one of the node's processes; its output goes to DIR/<node>/<log>."""
        return self.processes.spawn(command, self.dir / log, env)

    def addresses(self):
        """address -> adapter of every address on the node's adapters that is not link-local."""
        found = {}
        for item in json.loads(run("ip", "-n", self.namespace, "-json", "address").stdout):
            for address in item.get("addr_info", []):
                if item["ifname"] in ADAPTERS and address["scope"] == "global":
                    found[address["local"]] = item["ifname"]
        return found

    # ---- faults; each has its healing counterpart in heal() ----

    def port(self, adapter):
        """The switch's end of an adapter's cable."""
        return f"{self.name}-{adapter}"

    def lines(self):
        """The serial lines that end here."""
        return [line for ends, line in self.lab.serial.items() if self.name in ends]

    def cut(self, *adapters):
        """Pulls the cables: the adapters lose their carrier."""
        ip_batch(self.lab.switch, [f"link set {self.port(a)} down" for a in adapters])

    def cut_silently(self, *adapters):
        """Takes the ports out of the switch: carrier stays, nothing passes."""
        ip_batch(self.lab.switch, [f"link set {self.port(a)} nomaster" for a in adapters])

    def cut_one_way(self, adapter, direction):
        """Drops what the node sends ("out") or what is sent to it ("in") on one adapter."""
        hook = {"out": "ingress", "in": "egress"}[direction]  # as the switch's end sees it
        table = f"cut_{self.name}_{adapter}_{direction}"
        run("ip", "netns", "exec", self.lab.switch, "nft", "-f", "-", text_in=(
            f'table netdev {table} {{\n chain drop_all {{\n type filter hook {hook} device "{self.port(adapter)}" '
            f"priority 0; policy drop;\n }}\n}}\n"))

    def macs(self):
        """adapter -> its hardware address."""
        links = json.loads(run("ip", "-n", self.namespace, "-json", "link").stdout)
        return {link["ifname"]: link["address"] for link in links if link["ifname"] in ADAPTERS}

    def cut_serial(self):
        for line in self.lines():
            line.send_signal(signal.SIGUSR1)

    def cut_all(self, silently=False):
        """Every path to this node at once: the Ethernet cables and the serial lines."""
        self.cut_serial()
        (self.cut_silently if silently else self.cut)(*ADAPTERS)

    def heal(self):
        """Undoes every cut of this node. (A line that another node's cut holds comes back too.)"""
        tables = run("ip", "netns", "exec", self.lab.switch, "nft", "list", "tables").stdout.splitlines()
        for table in tables:
            if table.startswith(f"table netdev cut_{self.name}_"):
                run("ip", "netns", "exec", self.lab.switch, "nft", "delete", *table.split())
        ip_batch(self.lab.switch, [f"link set {self.port(a)} master {s} up" for a, s in ADAPTERS.items()])
        for line in self.lines():
            line.send_signal(signal.SIGUSR2)

    def crash(self):
        """Power off: every process killed, and every link cut, as near to one moment as can be."""
        self.processes.kill()
        self.cut_all()

    def freeze(self):
        self.processes.stop()

    def thaw(self):
        self.processes.resume()


def ring(names):
    """Serial lines in a circle: what fits the networks that a cluster may have, when it has many nodes."""
    return [tuple(sorted((a, b), key=names.index)) for a, b in zip(names, [*names[1:], names[0]])]


class Lab:
    """with Lab(bin_dir) as lab: … Everything is gone afterwards, on exceptions and signals too.
    `serial`: lines between all pairs, or the pairs that have one."""

    def __init__(self, bin_dir, names=("alpha", "beta", "gamma"), baud=115200, serial=True):
        self.name = f"vl{os.getpid():x}x{int(time.time()) & 0xfff:x}"
        self.dir = LAB_PARENT / (LAB_PREFIX + self.name)
        self.bin = pathlib.Path(bin_dir).resolve()
        self.baud = baud
        self.switch = f"{self.name}-switch"
        self.client = f"{self.name}-client"
        self.cgroup = None
        self.wanted_serial = serial
        self.serial = {}
        self.hearing = Hearing(self, ADAPTERS)
        self.nodes = {name: Node(self, index, name) for index, name in enumerate(names)}
        self.helpers = []
        self._old_handlers = {}

    def __getitem__(self, name):
        return self.nodes[name]

    def __iter__(self):
        return iter(self.nodes.values())

    def __enter__(self):
        if os.geteuid() != 0:
            raise LabError("the laboratory of namespaces needs root: run it with sudo")
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._old_handlers[number] = signal.signal(number, lambda *_: sys.exit(143))
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _build(self):
        self.dir.mkdir(mode=0o755)
        (self.dir / "lab.json").write_text(json.dumps({"name": self.name, "pid": os.getpid()}))
        self.cgroup = lab_cgroup(self.dir.name)
        for namespace in (self.switch, self.client):
            run("ip", "netns", "add", namespace)
            run("ip", "netns", "exec", namespace, "sh", "-c",
                "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        ip_batch(self.switch, [line for s in SEGMENTS for line in (
            f"link add {s} type bridge forward_delay 0 stp_state 0 mcast_snooping 0", f"link set {s} up")])
        # Most of it is waiting for the kernel and for new processes.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(node.build) for node in self]:
                done.result()
        self._build_client()
        names = list(self.nodes)
        lines = itertools.combinations(names, 2) if self.wanted_serial is True else self.wanted_serial or ()
        for a, b in lines:
            self._build_serial(a, b)

    def _build_client(self):
        lines = []
        for number, segment in enumerate(SEGMENTS):
            lines.append(f"link add client-{segment} index {2000 + number} type veth "
                         f"peer name {segment} index {21 + number} netns {self.client}")
            lines.append(f"link set client-{segment} master {segment} up")
        ip_batch(self.switch, lines)
        ip_batch(self.client, [
            "link set lo up", "link add both type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            *[f"link set {s} master both up" for s in SEGMENTS],
            *[f"link set {s} type bridge_slave isolated on" for s in SEGMENTS],
            f"address add {CLIENT_ADDRESS}/24 dev both", "link set both up"])
        self.run_client("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/both/disable_ipv6")
        ip_batch(self.client, [f"address add {CLIENT_ADDRESS_6}/64 dev both nodad"])

    def _build_serial(self, a, b):
        ends = [str(self.serial_device(a, b)), str(self.serial_device(b, a))]
        line = self.spawn_helper(str(self.bin / "nullmodem"), "--baud", str(self.baud), *ends)
        self.serial[(a, b)] = line
        if not wait_until(lambda: all(os.path.islink(e) for e in ends) or line.poll() is not None, 5) or line.poll():
            raise LabError(f"serial line {a}-{b}: nullmodem failed; see {self.dir}/helpers.log")

    def serial_device(self, node, peer):
        """The tty of `node` for its line to `peer`."""
        return self.dir / node / f"tty-{peer}"

    def part(self, *camps):
        """Camps of nodes lose each other, while a client hears them all: a second owner of an address would show.
        Until join()."""
        self.hearing.apart(*camps)

    def join(self):
        self.hearing.heard()

    def cut_between_nodes(self):
        """No node hears another, all at once."""
        self.part(*([name] for name in self.nodes))

    def spawn_helper(self, *command, stdout=None):
        """A process of the lab itself, outside of every node."""
        with open(self.dir / "helpers.log", "ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                                     start_new_session=True)
        self.helpers.append(child)
        return child

    def spawn_client(self, *command, stdout=None):
        """A process in the client's network namespace."""
        return self.spawn_helper("ip", "netns", "exec", self.client, *command, stdout=stdout)

    def run_client(self, *command, check=True, timeout=30):
        return run("ip", "netns", "exec", self.client, *command, check=check, timeout=timeout)

    def close(self):
        """Removes everything. Signals wait until it is done; failures of one step do not stop the next."""
        signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            if self.cgroup is not None:  # all at once: real-time daemons among many leave little for what ends them
                try:
                    (self.cgroup / "cgroup.kill").write_text("1")
                except OSError as error:
                    print(f"lab: {error}", file=sys.stderr)
            for child in self.helpers:
                if child.poll() is None:
                    child.kill()
                child.wait()
            for node in self:
                try:
                    node.close()
                except (LabError, OSError) as error:
                    print(f"lab: {error}", file=sys.stderr)
            remove_leftovers(self.dir)
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def remove_leftovers(directory):
    """Removes what the lab with this directory has: processes, cgroup, namespaces, files."""
    record = directory / "lab.json"
    if not record.exists():
        shutil.rmtree(directory, ignore_errors=True)
        return
    name = json.loads(record.read_text())["name"]
    cgroup = lab_cgroup(directory.name)
    if cgroup is not None and not remove_cgroup(cgroup):
        print(f"lab: cannot remove {cgroup}", file=sys.stderr)
    for line in run("ip", "netns", "list").stdout.splitlines():
        namespace = line.split()[0]
        if not namespace.startswith(name + "-"):
            continue
        for pid in run("ip", "netns", "pids", namespace).stdout.split():
            run("kill", "-9", pid, check=False)
        run("ip", "netns", "delete", namespace, check=False)
    for proc in pathlib.Path("/proc").glob("[0-9]*/cmdline"):  # null modems live in the host's namespaces
        try:
            if str(directory) in proc.read_text() and "nullmodem" in proc.read_text():
                os.kill(int(proc.parent.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue
    shutil.rmtree(directory, ignore_errors=True)


def clean():
    """Removes every lab whose maker is dead. Returns their names."""
    removed = []
    for directory in sorted(LAB_PARENT.glob(LAB_PREFIX + "*")):
        record = directory / "lab.json"
        if record.exists() and pathlib.Path(f"/proc/{json.loads(record.read_text())['pid']}").exists():
            continue
        remove_leftovers(directory)
        removed.append(directory.name)
    return removed
