"""The laboratory and the probe themselves: a measurement is worth what its instrument is."""
import os
import pathlib
import signal
import subprocess
import sys
import time

from lab.client import Probe
from lab.namespaces import LAB_PREFIX, SERVICE_ADDRESS
from lab.processes import cgroup_root
from lab.shell import boot_ns, run, wait_until
from lab.stage import expect
from lab.testing import laboratory


def own(node, adapter):
    node.run("ip", "address", "add", f"{SERVICE_ADDRESS}/24", "dev", adapter)
    node.run("arping", "-q", "-c", "1", "-A", "-I", adapter, SERVICE_ADDRESS, check=False)


def test_faults_cut_and_heal(settings):
    """Each cut silences the address for as long as it lasts, and heal() undoes it."""
    with laboratory(settings) as lab:
        node = lab["alpha"]
        node.spawn(str(lab.bin / "echod"), "--name", "alpha")
        own(node, "eth0")
        probe = Probe(lab)
        expect(wait_until(lambda: probe.serving() == "alpha", 5), "the responder is not heard")
        faults = {"cut": lambda: node.cut("eth0"), "silent": lambda: node.cut_silently("eth0"),
                  "out": lambda: node.cut_one_way("eth0", "out"), "in": lambda: node.cut_one_way("eth0", "in"),
                  "freeze": node.freeze}
        for name, fault in faults.items():
            since = boot_ns()
            fault()
            time.sleep(0.15)
            expect(probe.serving() is None, f"{name}: still answered 150 ms later")
            node.thaw()
            node.heal()
            expect(wait_until(lambda: probe.serving() == "alpha", 5), f"{name}: not healed")
            outage = probe.snapshot().outage_ms(since)
            # The answers to what was asked in the last 50 ms of a freeze come in time.
            expect(90 < outage < 2000, f"{name}: the probe saw an outage of {outage:.1f} ms for a cut of 150 ms")


def test_an_address_that_moves_between_segments_is_followed(settings):
    """The client hears both segments at one address; nodes' segments stay apart."""
    with laboratory(settings) as lab:
        node = lab["alpha"]
        node.spawn(str(lab.bin / "echod"), "--name", "alpha")
        own(node, "eth0")
        probe = Probe(lab)
        expect(wait_until(lambda: probe.serving() == "alpha", 5), "not heard on public")
        node.run("ip", "address", "del", f"{SERVICE_ADDRESS}/24", "dev", "eth0")
        own(node, "eth2")
        expect(wait_until(lambda: probe.serving() == "alpha", 5), "not heard on private")
        crossed = node.run("arping", "-q", "-c", "1", "-w", "1", "-I", "eth2", "10.77.1.2", check=False)
        expect(crossed.returncode != 0, "a frame crossed from the private to the public segment")


def test_two_servers_are_seen(settings):
    """The violation that must never be seen in a cluster is seen when it is made on purpose."""
    with laboratory(settings) as lab:
        for name in ("alpha", "beta"):
            lab[name].spawn(str(lab.bin / "echod"), "--name", name)
            lab[name].run("ip", "address", "add", f"{SERVICE_ADDRESS}/24", "dev", "eth0")
        probe = Probe(lab)
        for name in ("alpha", "beta", "alpha", "beta", "alpha"):
            mac = lab[name].run("cat", "/sys/class/net/eth0/address").stdout.strip()
            lab.run_client("ip", "neigh", "replace", SERVICE_ADDRESS, "lladdr", mac, "dev", "both")
            expect(wait_until(lambda: probe.serving() == name, 5), f"{name} does not answer")  # noqa: B023
        expect(probe.snapshot().violations, "two nodes answered in turns, and the probe did not say so")


def test_serial_lines_carry_and_cut(settings):
    with laboratory(settings) as lab:
        ends = [os.open(lab.serial_device(*pair), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                for pair in (("alpha", "beta"), ("beta", "alpha"))]

        def received(text):
            os.write(ends[0], text)
            time.sleep(0.1)
            try:
                return os.read(ends[1], 100)
            except BlockingIOError:
                return b""

        expect(received(b"one") == b"one", "bytes do not cross")
        lab["beta"].cut_serial()
        time.sleep(0.05)
        expect(received(b"two") == b"", "bytes cross a line that is cut")
        lab["beta"].heal()
        time.sleep(0.05)
        expect(received(b"three") == b"three", "bytes do not cross a line that was mended")
        for end in ends:
            os.close(end)


def test_a_reboot_clears_what_a_kernel_keeps(settings):
    with laboratory(settings) as lab:
        node = lab["beta"]
        node.spawn("sleep", "100")
        own(node, "eth0")
        node.run("sh", "-c", "echo kept > /var/lib/vigil/disk; echo lost > /run/vigil/memory")
        before = node.boot_id
        node.crash()
        node.heal()
        node.reboot()
        expect(SERVICE_ADDRESS not in node.addresses(), "the service address outlived the reboot")
        expect(not node.processes.pids(), "a process outlived the reboot")
        expect(node.boot_id != before, "the boot id is the old one")
        expect(node.run("cat", "/var/lib/vigil/disk").stdout == "kept\n", "the disk was lost")
        expect(node.run("cat", "/run/vigil/memory", check=False).returncode != 0, "/run outlived the reboot")


def test_nothing_is_left_behind(settings):
    """Neither after SIGTERM, nor, once cleaned, after SIGKILL."""
    script = ("import sys, time; sys.path.insert(0, {path!r}); from lab.namespaces import Lab\n"
              "with Lab({bin!r}) as lab:\n"
              "    lab['alpha'].spawn('sleep', '100'); print(lab.name, flush=True); time.sleep(60)\n"
              ).format(path=str(pathlib.Path(__file__).parent), bin=str(settings.bin))
    with laboratory(settings):
        pass  # skips where there can be no lab

    def leftovers(name):
        found = [n for n in run("ip", "netns", "list").stdout.split() if n.startswith(name)]
        found += [str(p) for p in pathlib.Path("/tmp").glob(LAB_PREFIX + name)]
        root = cgroup_root()
        return found + ([str(p) for p in root.glob(LAB_PREFIX + name)] if root else [])

    for ending in ("terminate", "kill"):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        name = child.stdout.readline().strip()
        expect(leftovers(name), "the lab was not there at all")
        getattr(child, ending)()
        child.wait(timeout=20)
        if ending == "kill":
            expect(leftovers(name), "SIGKILL leaves nothing to clean? then this test tests nothing")
            run("sh", "-c", f"cd '{pathlib.Path(__file__).parent}' && exec {sys.executable} -m lab clean", timeout=60)
        expect(not leftovers(name), f"after {ending}: left behind: {leftovers(name)}")


def test_the_demo_leaves_nothing_behind_on_interrupt(settings):
    """Ctrl-C in the middle of the demo's start."""
    with laboratory(settings, programs=("nullmodem", "probe", "echod", "vigild", "vigil-agent", "vigil")):
        pass
    before = set(run("ip", "netns", "list").stdout.split()) | {str(p) for p in pathlib.Path("/tmp").glob(LAB_PREFIX + "*")}
    demo = pathlib.Path(__file__).resolve().parents[2] / "tools/demo/demo.py"
    # Tests that run in the background of a shell inherit that SIGINT is ignored.
    child = subprocess.Popen([sys.executable, str(demo), "--bin", str(settings.bin), "--report", os.devnull],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(3)
    os.killpg(child.pid, signal.SIGINT)
    expect(child.wait(timeout=30) == 130, f"exit status {child.returncode}, not 130")
    after = set(run("ip", "netns", "list").stdout.split()) | {str(p) for p in pathlib.Path("/tmp").glob(LAB_PREFIX + "*")}
    mine = {name for name in after - before if f"vl{child.pid:x}x" in name}
    expect(not mine, f"left behind: {mine}")
