#!/usr/bin/env python3
"""Runs the system tests: every function test_* of the files test_*.py beside this one.

    run.py [--bin DIR] [--list] [--jobs N] [NAME…]      NAME: a part of a test's name (file.function)

One line a test: ok, not ok with what was broken, or skip with its reason; then
`N passed, N failed, N skipped`. Exit status 1 when one failed. A failed test leaves its daemons' logs
in build/system/<test>/.

Tests mostly wait: with --jobs, so many are under way at one time, each in a process and a laboratory of its own. Those
of a file that says ALONE = True have the machine to themselves, at the end.
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


def run_all(tests, arguments, settings):
    """The outcomes, in any order."""
    together = [(n, f) for n, f in tests if arguments.jobs > 1 and not getattr(sys.modules[f.__module__], "ALONE", False)]
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        outcomes = list(pool.map(lambda test: run_apart(test[0], arguments), together))
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
