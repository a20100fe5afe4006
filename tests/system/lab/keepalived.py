"""keepalived in the same lab, as the peer that Vigil is measured beside.

Variants: "default" (adverts once a second, as the manual's examples), "10ms" (the shortest adverts
that VRRP version 3 has, real-time priority), "bfd" (default adverts and BFD sessions of 10 ms x 3
between the nodes, which raise a backup's priority when the peer's session falls).

Left to itself, a keepalived with real-time priority is killed by the kernel (RLIMIT_RTTIME) once it computes for 10 ms
without a pause, which a slow virtual machine makes it do: its address then stays on a node where nobody cares for it,
and two nodes have it. It gets a second here, so that what is measured is its takeover. And with adverts of 10 ms a
daemon that starts is master before it can have heard one: it waits a second first.
"""
import os
import signal

from .cluster import Cluster
from .namespaces import SERVICE_ADDRESS, boot_address
from .shell import wait_until

VARIANTS = {
    "default": {"advert": "1", "realtime": False, "bfd": False},
    "10ms": {"advert": "0.01", "realtime": True, "bfd": False},
    "bfd": {"advert": "1", "realtime": True, "bfd": True},
}
RUNTIME_LIMIT_US = 1_000_000


class Keepalived(Cluster):
    """One variant, running on every node of a lab."""

    name = "keepalived"

    def __init__(self, lab, variant):
        self.lab = lab
        self.profile = variant
        for node in lab:
            (node.dir / "keepalived.conf").write_text(self._config(node, VARIANTS[variant]))

    def _config(self, node, variant):
        address = boot_address(node.index, "eth0").split("/")[0]
        text = ["global_defs {", f"  router_id {node.name}", "  vrrp_version 3",
                "  vrrp_startup_delay 1"]
        if variant["realtime"]:
            text += ["  vrrp_rt_priority 50", "  bfd_rt_priority 50",
                     f"  vrrp_rlimit_rttime {RUNTIME_LIMIT_US}", f"  bfd_rlimit_rttime {RUNTIME_LIMIT_US}"]
        text += ["}"]
        peers = [p for p in self.lab if p is not node] if variant["bfd"] else []
        for peer in peers:
            text += [f"bfd_instance {peer.name} {{", f"  neighbor_ip {boot_address(peer.index, 'eth0').split('/')[0]}",
                     f"  source_ip {address}", "  min_rx 10", "  min_tx 10", "  idle_tx 100", "  multiplier 3", "}"]
        text += ["vrrp_instance web {", "  state BACKUP", "  nopreempt", "  interface eth0", "  virtual_router_id 77",
                 f"  priority {100 - node.index * 10}", f"  advert_int {variant['advert']}",
                 f"  virtual_ipaddress {{\n    {SERVICE_ADDRESS}/24 dev eth0\n  }}"]
        if peers:
            text += ["  track_bfd {", *[f"    {peer.name} weight -50 reverse" for peer in peers], "  }"]
        return "\n".join([*text, "}", ""])

    def start_node(self, node):
        return node.spawn("keepalived", "--dont-fork", "--log-console", "--log-detail",
                          "--use-file", str(node.dir / "keepalived.conf"), "--pid", "/run/keepalived.pid",
                          "--vrrp_pid", "/run/keepalived_vrrp.pid", "--checkers_pid", "/run/keepalived_checkers.pid",
                          "--bfd_pid", "/run/keepalived_bfd.pid", log="keepalived.log")

    def stop(self):
        for node in self.lab:
            node.reboot()

    def holders(self):
        return [node.name for node in self.lab if SERVICE_ADDRESS in node.addresses()]

    def owner(self):
        holders = self.holders()
        return holders[0] if len(holders) == 1 else None

    def wait_healthy(self, timeout_s=30):
        """Every node runs, one has the address."""
        def healthy():
            return self.owner() and all(node.processes.by_name("keepalived") for node in self.lab)

        if not wait_until(healthy, timeout_s, every_s=0.1):
            raise TimeoutError(f"keepalived: holders are {self.holders()}")

    def graceful(self, owner):
        """A graceful stop: the daemon says goodbye with an advert of priority 0."""
        os.kill(min(self.lab[owner].processes.by_name("keepalived")), signal.SIGTERM)

    def generation(self):
        """keepalived counts no changes of owner."""
        return None

    def story(self):
        """keepalived's log is not kept."""
        return []

    def after_graceful(self, owner):
        node = self.lab[owner]
        wait_until(lambda: not node.processes.by_name("keepalived"), 10)
        self.start_node(node)

    def budget(self, _owner):
        return {}
