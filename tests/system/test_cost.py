"""What an idle cluster costs a node: all our processes together, profile lan."""
import os
import time

from lab.stage import expect
from lab.testing import cluster
from lab.vigil import resident_kb_and_cpu_s

WINDOW_S = 10
MOST_PERCENT_OF_A_CORE = 1.0
MOST_MEMORY_KB = 30 * 1024
# An empty wake-up of a real-time thread costs this much on hardware; virtual machines take several times
# as long, and the bound stretches with what this machine takes.
USUAL_WAKE_UP_US = 5.0


def wake_up_us(wakes=500):
    """Processor time of one empty wake-up here: the median of three tries."""
    def once():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        with open("/proc/self/schedstat", encoding="ascii") as stat:
            before = int(stat.read().split()[0])
        for _ in range(wakes):
            time.sleep(0.002)
        with open("/proc/self/schedstat", encoding="ascii") as stat:
            return (int(stat.read().split()[0]) - before) / wakes / 1000

    def in_child():
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, str(once()).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as result:
            value = float(result.read())
        os.wait()
        return value

    return sorted(in_child() for _ in range(3))[1]


def test_an_idle_node_is_cheap(settings):
    with cluster(settings, application=None) as stage:
        time.sleep(2)  # the start's work is done
        floor_us = wake_up_us()
        most = MOST_PERCENT_OF_A_CORE * max(1.0, floor_us / USUAL_WAKE_UP_US)
        before = {node.name: resident_kb_and_cpu_s(node) for node in stage.lab}
        time.sleep(WINDOW_S)
        for node in stage.lab:
            memory_kb, cpu_s = resident_kb_and_cpu_s(node)
            percent = 100 * (cpu_s - before[node.name][1]) / WINDOW_S
            print(f"       {node.name}: {percent:.2f} % of a core, {memory_kb} kB; an empty wake-up costs {floor_us:.0f} us here")
            expect(memory_kb <= MOST_MEMORY_KB, f"{node.name}: {memory_kb} kB resident; at most {MOST_MEMORY_KB}")
            expect(percent <= most, f"{node.name}: {percent:.2f} % of a core; at most {most:.2f} % where an empty "
                                    f"wake-up costs {floor_us:.0f} us")
