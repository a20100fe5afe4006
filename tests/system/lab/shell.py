"""Runs commands. A failed command is an exception that says the command and its last words."""
import subprocess
import time


class LabError(Exception):
    """The laboratory itself failed: no statement about the system under test."""


class Broken(Exception):
    """An expectation of the system under test did not hold."""


def expect(condition, sentence):
    if not condition:
        raise Broken(sentence)


def run(*command, text_in=None, check=True, timeout=30):
    """Runs a command to its end; returns its CompletedProcess (text)."""
    try:
        done = subprocess.run(command, input=text_in, text=True, capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL if text_in is None else None)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no end after {timeout} s") from error
    except FileNotFoundError as error:
        raise LabError(f"{command[0]}: not found; run `make deps`") from error
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}: {' / '.join(words)}")
    return done


def ip_batch(namespace, lines, check=True):
    """Gives many iproute2 commands to one process: a cut of several links is then one moment."""
    force = [] if check else ["-force"]
    run("ip", "-n", namespace, *force, "-batch", "-", text_in="\n".join(lines) + "\n", check=check)


def wait_until(condition, timeout_s, every_s=0.02):
    """Polls until condition() is true; returns its value, or None when the time is over."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            return None
        time.sleep(every_s)


def boot_ns():
    """CLOCK_BOOTTIME, the clock of the probe and of the daemons."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
