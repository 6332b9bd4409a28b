"""Memory in large pages, for training on a CPU.

XLA asks for its buffers anew at every step. With the C library's defaults they are returned to the
system each time and come back as 4 KiB pages, each of which costs a fault: a third of the time of
a step. glibc can keep what it has and ask for huge pages, but must be told before it starts.
"""

import os
import sys
from pathlib import Path

TUNABLES = {
    "glibc.malloc.hugetlb": 1,  # transparent huge pages
    "glibc.malloc.mmap_max": 0,  # large buffers come from the heap, too
    "glibc.malloc.trim_threshold": 2**36,  # which keeps what it was given
    "glibc.malloc.top_pad": 2**28,  # and grows in large steps
}
_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart() -> None:
    """Starts this process anew with large pages, where that is possible and not done yet.

    Needs Linux with glibc 2.35 or newer. Whoever sets `GLIBC_TUNABLES`, even to nothing, decides
    for themselves.
    """
    if not possible():
        return
    environment = {**os.environ, "GLIBC_TUNABLES": _tunables()}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _tunables() -> str:
    return ":".join(f"{name}={value}" for name, value in TUNABLES.items())


def used() -> bool:
    """Whether this process was started with large pages."""
    return os.environ.get("GLIBC_TUNABLES") == _tunables()


def possible() -> bool:
    """Whether large pages can be asked for here, and nobody has decided otherwise."""
    if sys.platform != "linux" or "GLIBC_TUNABLES" in os.environ or not sys.executable:
        return False
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "none 0").split()
        pages = _SWITCH.read_text()
    except (OSError, ValueError):
        return False
    recent = tuple(int(part) for part in version.split(".")[:2]) >= (2, 35)
    return name == "glibc" and recent and "[never]" not in pages
