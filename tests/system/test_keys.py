"""The cluster key: rotated under a watching client, with a node away, with a coordinator that dies in the middle;
frames recorded from the wire, of every kind, played back, reflected and forged."""
import contextlib
import json
import os
import signal
import sys
import time

from lab.processes import command_name
from lab.shell import run, wait_until
from lab.stage import Stage, expect
from lab.testing import Skip, daemons, laboratory
from lab.vigil import cluster_toml

KEY = "/var/lib/vigil/cluster.key"  # in each node's own file system


@contextlib.contextmanager
def rotating_cluster(settings):
    """A running cluster in which every node has its own key file."""
    with laboratory(settings) as lab:
        stage = Stage(lab, application=None)
        stage.vigil.config.write_text(cluster_toml(lab, key_file=KEY))
        for node in lab:
            give_key(node, lab.dir / "cluster.key")
        stage.open()
        yield stage


def give_key(node, path):
    node.run("install", "-m", "0600", str(path), KEY)


def key_file(node):
    return node.run("cat", KEY).stdout


def key_state(vigil, node):
    status = vigil.status(node)
    return status["key"] if status else None


def rotated(vigil, nodes, active):
    """These nodes agree on this one key, in force and in their files."""
    texts = set()
    for node in nodes:
        state = key_state(vigil, node)
        if not state or state["phase"] != "settled" or state["active"] != active:
            return False
        texts.add(key_file(node))
    return len(texts) == 1 and texts.pop().startswith(f"vigil keys\n{active} ")


def losses(vigil, nodes):
    """Heartbeats that any node missed on any link, and leases that ran out. Serial lines are left out: a busy line
    sends a newer heartbeat in place of an older one, whatever the key."""
    found = {}
    for node in nodes:
        status = vigil.status(node)
        found[node.name] = status["lease_gaps"]
        for link in (each for each in status["links"] if each["kind"] != "serial"):
            found[f"{node.name} {link['device']} {link['peer']} {link['link']}"] = link["lost"]
    return found


def secrets_of(*texts):
    """The hexadecimal keys in key files."""
    return {word for text in texts for word in text.split() if len(word) == 64}


def expect_no_secret(stage, secrets):
    """No key in a log, a journal or state file, or a process's arguments."""
    for node in stage.lab:
        places = [stage.vigil.log(node), stage.vigil.ctl(node, "events", "--json", "--last", "5000").stdout,
                  stage.vigil.ctl(node, "status", "--json").stdout]
        for pid in node.processes.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as arguments:
                    places.append(arguments.read().decode(errors="replace"))
        for secret in secrets:
            files = node.run("grep", "-rlF", "--exclude=cluster.key", secret, "/var/lib/vigil", check=False).stdout
            expect(not files and all(secret not in place for place in places), f"{node.name} shows a key: {files}")


def test_rotation_loses_nothing(settings):
    with rotating_cluster(settings) as stage:
        vigil, nodes = stage.vigil, list(stage.lab)
        first = key_file(nodes[0])
        began, before = stage.probe.snapshot().now_ns, losses(vigil, nodes)
        done = vigil.ctl(nodes[1], "key", "rotate")
        expect(wait_until(lambda: rotated(vigil, nodes, 2), 5), f"not rotated: {done.stdout}{done.stderr}")
        second = key_file(nodes[0])
        # A key of the operator's choice, from another node.
        run(str(stage.lab.bin / "vigil"), "key", "generate", str(stage.lab.dir / "third.key"))
        vigil.ctl(nodes[2], "key", "rotate", "--from-file", str(stage.lab.dir / "third.key"))
        expect(wait_until(lambda: rotated(vigil, nodes, 3), 5), "the second rotation does not end")
        third = (stage.lab.dir / "third.key").read_text()
        expect(secrets_of(third) == secrets_of(key_file(nodes[0])), "another key than the given one is in force")
        time.sleep(1)
        after = losses(vigil, nodes)
        changed = {name: (before[name], after[name]) for name in before if after[name] != before[name]}
        expect(not changed, f"heartbeats or leases were lost: {changed}")
        expect(stage.probe.snapshot().outages_between(began) == [], "the rotation cost the client an answer")
        for node in nodes:
            expect(node.run("stat", "-c", "%a %u", KEY).stdout.split() == ["600", "0"], "the key file is not private")
            expect(node.run("ls", "/var/lib/vigil").stdout.count("cluster.key") == 1, "a part of a key file is left")
        expect_no_secret(stage, secrets_of(first, second, third))
        # Everybody starts from what was stored.
        for node in nodes:
            node.reboot()
        vigil.start()
        stage.healthy_again()


def test_a_node_that_was_away_is_told_what_to_do(settings):
    with rotating_cluster(settings) as stage:
        vigil, lab = stage.vigil, stage.lab
        gamma, rest = lab["gamma"], [lab["alpha"], lab["beta"]]
        gamma.crash()
        expect(wait_until(lambda: sorted(vigil.status(rest[0])["members"]) == ["alpha", "beta"], 10), "gamma is not out")
        said = vigil.ctl(rest[0], "key", "rotate").stdout
        expect("by hand: gamma" in said, f"the operator is not told of gamma: {said}")
        expect(wait_until(lambda: rotated(vigil, rest, 2), 5), "not rotated without the node that is away")
        vigil.recover_node(gamma)
        for node in (*rest, gamma):
            def told(node=node):
                return any("copy key_file from a member" in str(p) for p in (vigil.status(node) or {"problems": []})["problems"])
            expect(wait_until(told, 10), f"{node.name} does not say what to do")
        expect(vigil.status(gamma)["role"] != "member", "a node with the old key is in")
        (lab.dir / "copied.key").write_text(key_file(rest[0]))
        gamma.reboot()
        give_key(gamma, lab.dir / "copied.key")
        vigil.start_node(gamma)
        stage.healthy_again()


def test_the_coordinator_dies_in_the_middle(settings):
    """At any moment: the rotation ends or is given up, the members stay together, and it can be begun again."""
    with rotating_cluster(settings) as stage:
        vigil, lab = stage.vigil, stage.lab
        for delay_s in (0, 0.005, 0.02):
            stage.healthy_again()
            coordinator = lab[vigil.status(lab["alpha"])["coordinator"]]
            rest = [node for node in lab if node is not coordinator]
            before = key_state(vigil, rest[0])["active"] or 1
            vigil.ctl(rest[0], "key", "rotate", "--no-wait")
            time.sleep(delay_s)
            coordinator.crash()

            def over():
                state = key_state(vigil, rest[0])
                return state and state["phase"] == "settled" and rotated(vigil, rest, state["active"])

            expect(wait_until(over, 20), f"after {delay_s} s: {[key_state(vigil, node) for node in rest]}")
            expect(key_state(vigil, rest[0])["active"] == before + 1, "a key that a living member holds was given up")
            (lab.dir / "copied.key").write_text(key_file(rest[0]))
            coordinator.reboot()
            coordinator.heal()
            give_key(coordinator, lab.dir / "copied.key")
            vigil.start_node(coordinator)
        stage.healthy_again()
        stage.expect_one_server()


def test_a_key_file_of_another_user_is_refused(settings):
    with daemons(settings) as (lab, vigil):
        os.chown(lab.dir / "cluster.key", 54321, 54321)
        child = vigil.start_node(lab["alpha"])
        expect(wait_until(lambda: child.poll() is not None, 5), "vigild runs with somebody else's key")
        expect(child.returncode == 1 and "chown 0" in vigil.log(lab["alpha"]), "vigild does not say what would mend it")


def end_by_abort(child):
    """How a process ends on SIGABRT: os.CLD_DUMPED or os.CLD_KILLED."""
    os.kill(child.pid, signal.SIGABRT)
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT).si_code


def test_core_files_are_off(settings):
    """A process that holds the key leaves none, whatever the limits allow."""
    with daemons(settings) as (lab, vigil):
        node = lab["alpha"]
        other = node.spawn("sh", "-c", f"cd {lab.dir} && ulimit -c unlimited && exec sleep 60")
        if not wait_until(lambda: command_name(other.pid) == "sleep", 5) or end_by_abort(other) != os.CLD_DUMPED:
            raise Skip("this machine writes no core files")
        vigild = vigil.start_node(node)
        expect(wait_until(lambda: vigil.status(node), 10), "vigild does not answer")
        run("prlimit", "--pid", str(vigild.pid), "--core=unlimited")
        expect(end_by_abort(vigild) == os.CLD_KILLED, "vigild left a core file")


# Records what passes the switch, then plays it back to every node: as it was, back to its sender, with each part
# of its header changed, and with its body damaged. Prints how many frames of each kind were recorded, and played.
INJECT = r"""
import collections, json, os, random, select, socket, struct, sys, time
ports, ether_type, record_s, play_s = sys.argv[1].split(","), int(sys.argv[2], 0), float(sys.argv[3]), float(sys.argv[4])
taps = {}
for port in ports:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind((port, 3))
    taps[port] = tap
kinds = collections.defaultdict(list)
print("recording", flush=True)
end = time.monotonic() + record_s
while time.monotonic() < end:
    for tap in select.select(taps.values(), [], [], 0.1)[0]:
        frame = tap.recv(2048)
        if struct.unpack("!H", frame[12:14])[0] == ether_type and frame[16] == 0x56:
            kind = kinds[frame[18]]
            if len(kind) < 400:
                kind.append(frame)
print(json.dumps({kind: len(frames) for kind, frames in kinds.items()}), flush=True)
HEADER = range(16, 16 + 28)
played = 0
end = time.monotonic() + play_s
while time.monotonic() < end:
    for kind, frames in kinds.items():
        for how in range(4):
            frame = bytearray(random.choice(frames))
            if how == 1:
                frame[0:6], frame[6:12] = frame[6:12], b"\x02" + os.urandom(5)
            elif how == 2:
                frame[random.choice(HEADER)] = random.randrange(256)
            elif how == 3:
                frame[random.randrange(44, len(frame))] ^= 1 << random.randrange(8)
            for tap in taps.values():
                try:
                    tap.send(frame)
                    played += 1
                except OSError:
                    pass
    time.sleep(0.002)
print(played, flush=True)
"""


def test_recorded_frames_of_every_kind_change_nothing(settings):
    with laboratory(settings) as lab:
        stage = Stage(lab, application=None)
        stage.open()
        vigil = stage.vigil
        owner = vigil.owner()
        other = next(node for node in lab if node.name != owner)
        ports = ",".join(node.port(adapter) for node in lab for adapter in ("eth0", "eth1"))
        log = lab.dir / "inject.out"
        with open(log, "wb") as out:
            injector = lab.spawn_helper("ip", "netns", "exec", lab.switch, sys.executable, "-c", INJECT, ports, "0x88b5",
                                        "6", "4", stdout=out)
        expect(wait_until(lambda: "recording" in log.read_text(), 5), "the recorder does not start")
        # What is recorded has a whole life in it: a node dies, is expelled, and is admitted again.
        other.processes.kill()
        time.sleep(0.6)
        vigil.start_node(other)
        stage._start_responder(other)
        expect(wait_until(lambda: log.read_text().count("\n") >= 2, 10), "nothing was recorded")
        recorded = json.loads(log.read_text().splitlines()[1])
        expect(set(recorded) >= {"1", "2", "3", "4", "5"}, f"not every kind of frame was recorded: {recorded}")
        stage.healthy_again()
        before = [(vigil.status(n)["epoch"], vigil.status(n)["record_version"], vigil.status(n)["lease_gaps"]) for n in lab]
        began, generation = stage.probe.snapshot().now_ns, vigil.generation()
        injector.wait(timeout=20)
        played = int(log.read_text().splitlines()[2])
        expect(played > 2000, f"only {played} frames were played")
        after = [(vigil.status(n)["epoch"], vigil.status(n)["record_version"], vigil.status(n)["lease_gaps"]) for n in lab]
        expect(before == after, f"the attack changed the view or cost a lease: {before}, then {after}")
        expect(vigil.generation() == generation, "the attack moved the group")
        expect(stage.probe.snapshot().outages_between(began) == [], "the attack cost the client an answer")
        stage.expect_one_server()
