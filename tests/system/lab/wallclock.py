"""A wall clock of its own for one node: a library that is loaded before the daemons' and moves their CLOCK_REALTIME.

Namespaces give a node its own monotonic and boot clocks, never its own wall clock. How far it is off stands in
a file that the library maps, so that a clock can be set while its daemon runs.
"""
import mmap
import os
import shutil
import struct
import subprocess

LIBRARY = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const long long *offset_s;

__attribute__((constructor)) static void find_offset(void) {
  const char *path = getenv("WALLCLOCK_OFFSET");
  int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) offset_s = mapped;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && clock == CLOCK_REALTIME && offset_s != NULL) now->tv_sec += *offset_s;
  return result;
}
"""


class WallClock:
    """env: for the daemon; set(): seconds ahead of the machine's clock."""

    def __init__(self, lab, node, offset_s=0):
        library = lab.dir / "wallclock.so"
        if not library.exists():
            subprocess.run([compiler(), "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-"], check=True,
                           input=LIBRARY.encode())
        path = lab.dir / f"wallclock-{node.name}"
        path.write_bytes(struct.pack("q", offset_s))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.env = {**os.environ, "LD_PRELOAD": str(library), "WALLCLOCK_OFFSET": str(path)}

    def set(self, offset_s):
        self.map[0:8] = struct.pack("q", offset_s)


def compiler():
    """The C compiler's path, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
