#!/usr/bin/env python3
"""Runs the system tests: every function test_* of the files test_*.py beside this one.

    run.py [--bin DIR] [--list] [NAME…]      NAME: a part of a test's name (file.function)

One line a test: ok, not ok with what was broken, or skip with its reason; then
`N passed, N failed, N skipped`. Exit status 1 when one failed. A failed test leaves its daemons' logs
in build/system/<test>/.
"""
import argparse
import importlib
import inspect
import os
import pathlib
import signal
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    tests = find_tests(arguments.names)
    if arguments.list:
        print("\n".join(name for name, _ in tests))
        return 0
    settings = Settings(pathlib.Path(arguments.bin).resolve(), pathlib.Path("build/system").resolve())
    count = {"ok": 0, "not ok": 0, "skip": 0}
    if os.geteuid() == 0:
        clean()
    for name, function in tests:
        started = time.monotonic()
        outcome, words = run_one(name, function, settings)
        count[outcome] += 1
        reason = f": {words}" if words else ""
        print(f"{outcome:<6} {name} ({time.monotonic() - started:.1f} s){reason}", flush=True)
    print(f"{count['ok']} passed, {count['not ok']} failed, {count['skip']} skipped")
    return 1 if count["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
