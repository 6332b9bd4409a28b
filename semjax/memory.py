"""Peaks of memory: of this process, and of the accelerator where it tells."""

import sys
from contextlib import suppress
from pathlib import Path

import jax

try:
    import resource
except ImportError:  # not on Windows
    resource = None

_MIB = 2**20


def forget() -> None:
    """Forgets the process's peak so far, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peaks() -> dict[str, int]:
    """Peaks in MiB: `process` since `forget`, `device` (the fullest) since the program's start.

    What cannot be told here is left out.
    """
    found = {}
    try:
        status = Path("/proc/self/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        found["process"] = int(peak.split()[1]) // 1024
    except (OSError, StopIteration):
        if resource is not None:  # of the whole life of the process
            unit = 1 if sys.platform == "darwin" else 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found["process"] = peak * unit // _MIB
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    used = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    if used:
        found["device"] = max(used) // _MIB
    return found
