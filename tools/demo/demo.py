#!/usr/bin/env python3
"""Three nodes, a web server and a client on one machine, and eight ways in which things go wrong.

    demo.py [--bin DIR] [--report FILE] [--only N,…] [--keep-logs DIR]

Builds its laboratory of namespaces and removes it again, on Ctrl-C too. Exit status 0 when every
expectation held, 1 when one did not, 2 when the laboratory itself could not be built.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/system"))
from lab.namespaces import SERVICE_ADDRESS, Lab  # noqa: E402
from lab.shell import LabError  # noqa: E402
from lab.stage import Broken, Stage  # noqa: E402
from lab.testing import keep_logs  # noqa: E402
from lab.vigil import Vigil  # noqa: E402


def say(text=""):
    print(text, flush=True)


def heading(text):
    say()
    say(text)
    say("-" * len(text))


def swap_adapter(stage):
    outcome = stage.swap_adapter()
    stage.lab[outcome.before].heal()
    return outcome


def fail_network(stage):
    return stage.fail_network()


def crash(stage):
    outcome = stage.crash()
    stage.power_on(outcome.before)
    return outcome


def freeze(stage):
    outcome = stage.freeze()
    stage.thaw(outcome)
    outcome.notes.append(f"{outcome.before} thawed, and kept silent")
    return outcome


def split(stage):
    outcome = stage.split()
    outcome.notes.append(f"{outcome.before}, alone, gave the address up by itself")
    stage.lab[outcome.before].heal()
    return outcome


def move(stage):
    return stage.move()


def kill_daemon(stage):
    outcome = stage.kill_daemon()
    stage.restart_daemon(outcome.before)
    return outcome


def application_dies(stage):
    outcome = stage.application_dies()
    stage.forgive(outcome.before)
    return outcome


@dataclasses.dataclass
class Case:
    title: str
    expectation: str
    act: object


CASES = [
    Case("A network adapter fails", "The standby adapter of the same node takes the address.", swap_adapter),
    Case("A whole network fails", "The address moves to the backup network of the same node.", fail_network),
    Case("A node crashes", "All its processes are killed, its links cut at once; another node takes over.", crash),
    Case("A node freezes, and later thaws", "Its address falls silent by the kernel's lease alone; never do two answer.",
         freeze),
    Case("The cluster is split", "All links of one node are cut: the majority takes over, the one alone stops serving.",
         split),
    Case("The operator moves the group", "A graceful move, without waiting for any lease.", move),
    Case("The daemon alone is killed", "kill -9 of vigild: the lease runs out by itself, another node takes over.",
         kill_daemon),
    Case("The application dies", "It is restarted where it was; when it dies again, it moves.", application_dies),
]


def tell(number, case, stage, outcome):
    for line in stage.timeline(outcome):
        say(f"    {line}")
    if outcome.budget_ms:
        parts = [f"{part} {ms:.1f}" for part, ms in outcome.budget_ms.items() if part != "total"]
        say(f"    Budget in ms: {', '.join(parts)}; total {outcome.budget_ms['total']:.1f}.")
    for note in outcome.notes:
        say(f"  {note}")
    way = f"stayed on {outcome.after}" if outcome.after == outcome.before else f"{outcome.before} -> {outcome.after}"
    say(f"  The client's outage: address {outcome.outage_ms:.1f} ms, page {outcome.page_outage_ms:.0f} ms ({way}).")
    return {"case": number, "title": case.title, "passed": True, "from": outcome.before, "to": outcome.after,
            "outage_ms": round(outcome.outage_ms, 2), "page_outage_ms": round(outcome.page_outage_ms, 1),
            "budget_ms": outcome.budget_ms, "notes": outcome.notes}


def play(stage, chosen, report):
    """Plays the cases; the first broken expectation ends the play."""
    for number, case in enumerate(CASES, 1):
        if chosen and number not in chosen:
            continue
        heading(f"{number}. {case.title}")
        say(f"  {case.expectation}")
        started = time.monotonic()
        try:
            outcome = case.act(stage)
            entry = tell(number, case, stage, outcome)
            report["cases"].append(entry)
            stage.healthy_again()
        except (Broken, LabError) as error:
            failed = {"case": number, "title": case.title, "passed": False, "broken": str(error)}
            report["cases"] = [c for c in report["cases"] if c["case"] != number] + [failed]
            raise Broken(f"case {number}, {case.title}: {error}") from error
        say(f"  Back to health ({time.monotonic() - started:.1f} s in all).")
    stage.expect_one_server()


def table(report):
    say()
    say(f"{'':3}{'case':<34}{'from':<8}{'to':<8}{'address':>10}{'page':>10}   detect/agree/fence/address/application")
    for case in report["cases"]:
        if not case["passed"]:
            say(f"{case['case']:<3}{case['title']:<34}did not hold")
            continue
        parts = case["budget_ms"]
        budget = "/".join(f"{parts[p]:.1f}" for p in ("detect", "agree", "fence", "address", "application")) if parts else "-"
        say(f"{case['case']:<3}{case['title']:<34}{case['from']:<8}{case['to']:<8}{case['outage_ms']:>7.1f} ms"
            f"{case['page_outage_ms']:>7.0f} ms   {budget}")
    say()


def run_demo(arguments, report):
    with Lab(arguments.bin) as lab:
        missing = Vigil.missing(lab)
        if missing:
            raise LabError(f"{', '.join(missing)} not in {lab.bin}; run `make` first")
        say(f"Three nodes ({', '.join(lab.nodes)}), two Ethernet segments, a serial line between each two,")
        say(f"a client that asks {SERVICE_ADDRESS} once a millisecond and one that fetches its page.")
        stage = Stage(lab)
        try:
            stage.open()
            say(f"The group is online on {stage.vigil.owner()}.")
            play(stage, arguments.only, report)
        finally:
            if arguments.keep_logs:
                keep_logs(lab, pathlib.Path(arguments.keep_logs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", help="where the programs are")
    parser.add_argument("--report", default="build/demo/report.json")
    parser.add_argument("--only", type=lambda text: {int(n) for n in text.split(",")}, help="these cases alone")
    parser.add_argument("--keep-logs", metavar="DIR", help="copy the daemons' logs there")
    arguments = parser.parse_args()
    report = {"passed": False, "broken": None, "cases": []}
    started = time.monotonic()
    status = 0
    try:
        run_demo(arguments, report)
        report["passed"] = True
    except Broken as error:
        report["broken"] = str(error)
        status = 1
    except LabError as error:
        report["broken"] = str(error)
        status = 2 if not report["cases"] else 1
    except KeyboardInterrupt:
        say("\ninterrupted; everything is removed")
        return 130
    report["seconds"] = round(time.monotonic() - started, 1)
    path = pathlib.Path(arguments.report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    if report["cases"]:
        table(report)
    say("demo: PASS" if report["passed"] else f"demo: FAIL: {report['broken']}")
    return status


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("demo: needs root for its network namespaces; run: sudo make demo")
    sys.exit(main())
