"""Processor time from /proc/stat: on a shared machine, what the hypervisor took explains late wake-ups."""
import pathlib


class CpuTime:
    """Two readings and what lies between."""

    def __init__(self):
        self.start = self._read()

    @staticmethod
    def _read():
        return [int(n) for n in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]

    def since_start(self):
        """{"steal_percent", "busy_percent"} of all processors."""
        delta = [b - a for a, b in zip(self.start, self._read())]
        total = sum(delta) or 1
        return {"steal_percent": round(100 * delta[7] / total, 2),
                "busy_percent": round(100 * (total - delta[3] - delta[4]) / total, 2)}
