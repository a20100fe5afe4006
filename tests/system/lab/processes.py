"""The processes of one node as a whole: started together, stopped, thawed and killed together.

A cgroup (v2) holds them where there is one that can be used: a kill is then one write, and no fork
escapes it. Elsewhere a node's processes are those that live in its mount namespace.
"""
import os
import pathlib
import signal
import subprocess
import time

from .shell import LabError, wait_until


def cgroup_root():
    """Where cgroup v2 is mounted, or None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return pathlib.Path(fields[1])
    return None


def lab_cgroup(lab_name):
    """Makes the lab's cgroup; None where cgroups cannot be used."""
    root = cgroup_root()
    if root is None:
        return None
    path = root / lab_name
    try:
        path.mkdir(exist_ok=True)
        return path if (path / "cgroup.kill").exists() else None
    except OSError:
        return None


def remove_cgroup(path):
    """Kills what is in it and below it, and removes it. Says whether that worked."""
    if not path.exists():
        return True
    try:
        (path / "cgroup.freeze").write_text("0")
        (path / "cgroup.kill").write_text("1")
    except OSError:
        pass
    for below in [p for p in path.iterdir() if p.is_dir()]:
        remove_cgroup(below)

    def gone():
        try:
            path.rmdir()
            return True
        except FileNotFoundError:
            return True
        except OSError:
            return False

    return bool(wait_until(gone, 5))


class Processes:
    """All processes of one node."""

    def __init__(self, cgroup, holder_pid):
        self.cgroup = cgroup  # pathlib.Path or None
        self.holder_pid = holder_pid
        self.children = []
        if cgroup is not None:
            cgroup.mkdir(exist_ok=True)

    def spawn(self, command, log, env=None):
        """Starts a command inside the node; its output goes to the file `log`. Returns the Popen."""
        inside = ["nsenter", "--target", str(self.holder_pid), "--mount", "--net", "--uts", "--", *command]
        if self.cgroup is not None:
            join = 'echo $$ > "$0" && exec "$@"'
            inside = ["sh", "-c", join, str(self.cgroup / "cgroup.procs"), *inside]
        with open(log, "ab") as out:
            child = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                     start_new_session=True)
        self.children.append(child)
        return child

    def pids(self):
        """Of every living process of the node, descendants included; zombies are left out."""
        if self.cgroup is not None:
            found = [int(p) for p in (self.cgroup / "cgroup.procs").read_text().split()]
        else:
            found = self._pids_by_mount_namespace()
        return [pid for pid in found if state_of(pid) not in (None, "Z", "X")]

    def _pids_by_mount_namespace(self):
        own = os.readlink(f"/proc/{self.holder_pid}/ns/mnt")
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == self.holder_pid:
                continue
            try:
                if os.readlink(f"/proc/{entry}/ns/mnt") == own:
                    found.append(int(entry))
            except OSError:
                continue
        return found

    def by_name(self, name):
        """Pids of the node's processes whose command name is `name`."""
        return [pid for pid in self.pids() if command_name(pid) == name]

    def kill(self):
        """kill -9 of everything, at once where a cgroup allows it."""
        if self.cgroup is not None:
            (self.cgroup / "cgroup.kill").write_text("1")
        end = time.monotonic() + 5
        while pids := self.pids():
            for pid in pids:
                send(pid, signal.SIGKILL)
            if time.monotonic() > end:
                raise LabError(f"processes {pids} survive SIGKILL")
            time.sleep(0.001)
        self.reap()

    def stop(self):
        """SIGSTOP of everything; again until nothing new appears between two looks."""
        self._signal_all(signal.SIGSTOP, lambda pid: state_of(pid) in ("T", "t"))

    def resume(self):
        """SIGCONT of everything."""
        self._signal_all(signal.SIGCONT, lambda pid: state_of(pid) not in ("T", "t"))

    def _signal_all(self, number, done):
        def all_done():
            rest = [pid for pid in self.pids() if not done(pid)]
            for pid in rest:
                send(pid, number)
            return not rest

        if not wait_until(all_done, 5, every_s=0.001):
            raise LabError(f"signal {number.name} did not reach {self.pids()}")

    def reap(self):
        """Collects the exit status of children that ended."""
        self.children = [child for child in self.children if child.poll() is None]


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def state_of(pid):
    """The letter of /proc/PID/stat, or None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def command_name(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
