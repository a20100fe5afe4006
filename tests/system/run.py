#!/usr/bin/env python3
"""Runs the system tests: every function test_* of the files test_*.py beside this one.

    run.py [--bin DIR] [--list] [--jobs N] [NAME…]      NAME: a part of a test's name (file.function)

One line a test: ok, not ok with what was broken, or skip with its reason; then
`N passed, N failed, N skipped`. Exit status 1 when one failed. A failed test leaves its daemons' logs
in build/system/<test>/.

Tests mostly wait: with --jobs, so many are under way at one time, each in a process and a laboratory of its own. Those
of a file that says JOBS = 2 count as two, for their laboratories are large: three of five nodes keep two processors so
busy that what is late is the laboratory, and not what it tests. Those of a file that says ALONE = True have the machine
to themselves, at the end.
"""
import argparse
import concurrent.futures
import importlib
import inspect
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from lab.namespaces import clean  # noqa: E402
from lab.shell import LabError  # noqa: E402
from lab.stage import Broken  # noqa: E402
from lab.testing import Settings, Skip  # noqa: E402

TEST_LIMIT_S = 180
OUTCOMES = ("ok", "not ok", "skip")


class TimedOut(Exception):
    """A test took longer than any test may."""


def find_tests(wanted):
    """[(name, function)] in the order of files and lines."""
    tests = []
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        functions = [f for n, f in inspect.getmembers(module, inspect.isfunction)
                     if n.startswith("test_") and f.__module__ == path.stem]
        for function in sorted(functions, key=lambda f: f.__code__.co_firstlineno):
            name = f"{path.stem.removeprefix('test_')}.{function.__name__.removeprefix('test_')}"
            if not wanted or any(w in name for w in wanted):
                tests.append((name, function))
    return tests


def run_one(name, function, settings):
    """("ok" | "not ok" | "skip", words)."""
    def too_long(*_):
        raise TimedOut(f"no end after {TEST_LIMIT_S} s")

    settings.test_name = name
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_LIMIT_S)
    try:
        function(settings)
        return "ok", ""
    except Skip as reason:
        return "skip", str(reason)
    except (Broken, LabError, TimedOut) as error:
        return "not ok", str(error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "not ok", traceback.format_exc().rstrip()
    finally:
        signal.alarm(0)


def run_and_tell(name, function, settings):
    """Its outcome; the line about it is printed."""
    started = time.monotonic()
    outcome, words = run_one(name, function, settings)
    reason = f": {words}" if words else ""
    print(f"{outcome:<6} {name} ({time.monotonic() - started:.1f} s){reason}", flush=True)
    return outcome


def run_apart(name, arguments):
    """As run_and_tell(), in a process of its own."""
    child = subprocess.run([sys.executable, __file__, "--bin", arguments.bin, "--exactly", name], text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    told = [line for line in child.stdout.splitlines() if f" {name} (" in line]
    outcome = next((o for o in OUTCOMES if told and told[-1].startswith(o)), "not ok")
    print(child.stdout.rstrip() or f"not ok {name}: it ended without a word", flush=True)
    return outcome


def said_by_file(function, name, default):
    """What the file of this test says of all its tests."""
    return getattr(sys.modules[function.__module__], name, default)


def jobs_of(function):
    """For how many jobs a test counts."""
    return said_by_file(function, "JOBS", 1)


class Queue:
    """What is to be run, large ones first; each is begun as soon as as many jobs as it counts for are free."""

    def __init__(self, tests, jobs):
        self.waiting = sorted(tests, key=lambda test: -jobs_of(test[1]))
        self.jobs = self.free = jobs
        self.changed = threading.Condition()

    def share(self, test):
        """For how many of the jobs that there are."""
        return min(jobs_of(test[1]), self.jobs)

    def next_fitting(self):
        return next((test for test in self.waiting if self.share(test) <= self.free), None)

    def work(self, run):
        """The outcomes of run(test) for those that this thread takes, until none is left."""
        outcomes = []
        while True:
            with self.changed:
                self.changed.wait_for(lambda: not self.waiting or self.next_fitting())
                if not self.waiting:
                    return outcomes
                test = self.next_fitting()
                self.waiting.remove(test)
                self.free -= self.share(test)
                self.changed.notify_all()
            try:
                outcomes.append(run(test))
            finally:
                with self.changed:
                    self.free += self.share(test)
                    self.changed.notify_all()


def run_all(tests, arguments, settings):
    """The outcomes, in any order."""
    together = [(n, f) for n, f in tests if arguments.jobs > 1 and not said_by_file(f, "ALONE", False)]
    queue = Queue(together, max(1, arguments.jobs))
    with concurrent.futures.ThreadPoolExecutor(queue.jobs) as pool:
        workers = [pool.submit(queue.work, lambda test: run_apart(test[0], arguments)) for _ in range(queue.jobs)]
        outcomes = [outcome for worker in workers for outcome in worker.result()]
    return outcomes + [run_and_tell(n, f, settings) for n, f in tests if (n, f) not in together]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("--jobs", type=int, default=1, help="how many at one time")
    parser.add_argument("--exactly", help="the one test of this name")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    tests = find_tests(arguments.names)
    if arguments.list:
        print("\n".join(name for name, _ in tests))
        return 0
    settings = Settings(pathlib.Path(arguments.bin).resolve(), pathlib.Path("build/system").resolve())
    if arguments.exactly:
        return 0 if run_and_tell(arguments.exactly, dict(tests)[arguments.exactly], settings) != "not ok" else 1
    if os.geteuid() == 0:
        clean()
    outcomes = run_all(tests, arguments, settings)
    print(", ".join(f"{outcomes.count(o)} {word}" for o, word in zip(OUTCOMES, ("passed", "failed", "skipped"))))
    return 1 if "not ok" in outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
