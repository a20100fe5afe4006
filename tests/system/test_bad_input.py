"""Garbage, wrong files, hanging scripts: refused, named, and no harm to anybody else. (Who is kept out of a cluster, and
what is recorded from the wire: test_admission.py, test_keys.py.)"""
import os
import pathlib
import re
import sys

from lab.shell import run, wait_until
from lab.stage import expect
from lab.testing import cluster, daemons
from lab.vigil import check_config, cluster_toml

# Sends random frames with heartbeat's shape around them, as fast as it can for two seconds.
FLOOD = """
import os, random, socket, struct, sys, time
interface, ethertype = sys.argv[1], int(sys.argv[2], 0)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((interface, 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
recorded = []
# Every protocol: on a port of a bridge, only such a socket sees frames before the bridge takes them.
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind((interface, 3))
tap.settimeout(0.5)
listened = time.monotonic() + 0.5
while time.monotonic() < listened:
    frame = tap.recv(2048)
    if struct.unpack("!H", frame[12:14])[0] == ethertype:
        recorded.append(frame)
tap.close()
end = time.monotonic() + 2
sent = 0
while time.monotonic() < end:
    size = random.choice((0, 1, 14, 60, 100, 200, 201, 1400))
    raw.send(b"\\xff" * 6 + os.urandom(6) + struct.pack("!H", ethertype) + os.urandom(size))
    if recorded:
        frame = bytearray(random.choice(recorded))
        raw.send(bytes(frame))                                # a replay
        frame[random.randrange(14, len(frame))] ^= 1 << random.randrange(8)
        raw.send(bytes(frame))                                # one bit changed
    for host in ("10.77.1.1", "10.77.1.2", "10.77.1.3"):
        try:
            udp.sendto(os.urandom(random.randrange(0, 400)), (host, 7410))
        except OSError:
            pass
    sent += 3
    time.sleep(0.0005)
print(sent, len(recorded))
"""


def ethertype():
    """The project's EtherType, from its one source."""
    for path in sorted((pathlib.Path(__file__).resolve().parents[2] / "drivers").rglob("*.hpp")):
        found = re.search(r"ether_?type\w*\s*=\s*(0x[0-9a-fA-F]+)", path.read_text(), re.IGNORECASE)
        if found:
            return found.group(1)
    return "0x88b5"


def test_garbage_and_replayed_frames_change_nothing(settings):
    with cluster(settings, application=None) as stage:
        # The client's port on the public segment stands for an intruder's machine.
        run("ip", "-n", stage.lab.client, "address", "add", "10.77.1.200/24", "dev", "both")
        generation = stage.vigil.generation()
        epochs = {n.name: stage.vigil.status(n)["epoch"]["counter"] for n in stage.lab}
        done = stage.lab.run_client(sys.executable, "-c", FLOOD, "public", ethertype(), timeout=30)
        sent, recorded = (int(n) for n in done.stdout.split())
        expect(sent > 500, f"only {sent} frames were sent")
        expect(recorded > 0, "no heartbeat was there to be replayed")
        stage.healthy_again()
        expect(stage.vigil.generation() == generation, "the flood moved the group")
        for node in stage.lab:
            expect(stage.vigil.status(node)["epoch"]["counter"] == epochs[node.name], "the flood changed the view")
        stage.expect_one_server()


def test_a_wrong_file_is_refused_with_its_place(settings):
    with daemons(settings) as (lab, vigil):
        wrong = lab.dir / "wrong.toml"
        text = cluster_toml(lab)
        wrong.write_text(text.replace('profile = "lan"', 'profle = "lan"'))
        line = text.splitlines().index('profile = "lan"') + 1
        sentence = f"wrong.toml:{line}:1: unknown key 'profle' in [cluster]; did you mean 'profile'?"
        child = vigil.start_node(lab["alpha"], wrong)
        expect(wait_until(lambda: child.poll() is not None, 5), "vigild runs with a wrong file")
        expect(child.returncode == 1, f"vigild's exit status is {child.returncode}, not 1")
        expect(sentence in vigil.log(lab["alpha"]), f"vigild does not say: {sentence}")
        status, said = check_config(lab, wrong)
        expect(status != 0 and sentence in said, f"check-config does not say: {sentence}")
        status, said = check_config(lab, vigil.config)
        expect(status == 0, f"check-config refuses a good file: {said}")


def test_a_key_that_others_can_read_is_refused(settings):
    with daemons(settings) as (lab, vigil):
        os.chmod(lab.dir / "cluster.key", 0o644)
        child = vigil.start_node(lab["alpha"])
        expect(wait_until(lambda: child.poll() is not None, 5), "vigild runs with a key that everybody can read")
        expect("chmod 600" in vigil.log(lab["alpha"]), "vigild does not say which command would mend it")


HANGING = """
[[group]]
name = "stuck"
nodes = ["alpha", "beta", "gamma"]
  [group.application]
  name = "hangs"
  start = "sleep 3000 & echo $! > /run/vigil/hanging-child; sleep 3000"
  stop = "true"
  start_timeout = "1s"
  stop_timeout = "1s"
  restarts = 0
  state = "none"
"""


def test_a_hanging_script_holds_up_no_other_group(settings):
    """It is timed out, killed with its children, and reported; the other group fails over meanwhile."""
    with daemons(settings, extra=HANGING) as (lab, vigil):
        vigil.start()
        expect(wait_until(lambda: vigil.owner() is not None, 20), "the healthy group does not come online")
        owner = vigil.owner()

        def hung_and_gone():
            for node in lab:
                pid = node.run("cat", "/run/vigil/hanging-child", check=False).stdout.strip()
                if pid and not os.path.exists(f"/proc/{pid}"):
                    return True
            return False

        expect(wait_until(hung_and_gone, 20), "the hanging script's child outlived its timeout")

        def reported():
            group = vigil.group(lab[owner], "stuck")
            return group and (group["failed_on"] or group["phase"] == "error")

        expect(wait_until(reported, 20), "the status does not say that the group failed")
        lab[owner].crash()
        taken = vigil.wait_owner(lambda name: name != owner, 10)
        expect(taken, "the healthy group did not fail over beside the stuck one")


def test_strange_clients_of_the_control_socket(settings):
    """Garbage and silence on the control socket disturb nobody."""
    with cluster(settings, application=None) as stage:
        node = stage.lab[stage.vigil.owner()]
        script = ("import os, socket, time\n"
                  "open_ones = []\n"
                  "for i in range(60):\n"
                  "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                  "    try:\n"
                  "        s.connect('/run/vigil/control.sock')\n"
                  "        if i % 2: s.send(os.urandom(1 + i * 60))\n"
                  "    except OSError: pass\n"
                  "    open_ones.append(s)\n"
                  "time.sleep(1)\n")
        generation = stage.vigil.generation()
        node.run(sys.executable, "-c", script)
        stage.healthy_again()
        expect(stage.vigil.generation() == generation, "garbage on the control socket moved the group")
