"""What an idle cluster costs a node: all our processes together, profile lan."""
import time

from lab.stage import expect
from lab.testing import cluster
from lab.vigil import resident_kb_and_cpu_s

WINDOW_S = 10
MOST_PERCENT_OF_A_CORE = 1.0
MOST_MEMORY_KB = 30 * 1024


def test_an_idle_node_is_cheap(settings):
    with cluster(settings, application=None) as stage:
        time.sleep(2)  # the start's work is done
        before = {node.name: resident_kb_and_cpu_s(node) for node in stage.lab}
        time.sleep(WINDOW_S)
        for node in stage.lab:
            memory_kb, cpu_s = resident_kb_and_cpu_s(node)
            percent = 100 * (cpu_s - before[node.name][1]) / WINDOW_S
            expect(memory_kb <= MOST_MEMORY_KB, f"{node.name}: {memory_kb} kB resident; at most {MOST_MEMORY_KB}")
            expect(percent <= MOST_PERCENT_OF_A_CORE,
                   f"{node.name}: {percent:.2f} % of a core; at most {MOST_PERCENT_OF_A_CORE} %")
