"""One side of one piece in a process of its own: `python -m benchmarks.worker PIECE SIDE`.

Says on standard output, a line of JSON each, what it made ready; for every number on standard input
how long that many times took; and at the end of the input how much memory was needed.
"""

import json
import os
import platform
import resource
import sys
import time


def main(name: str, side: str) -> None:
    """Serves until the input ends."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # nobody else writes between the lines
    if side == "ours":
        import jax

        from benchmarks import ours

        on_cpu = jax.default_backend() == "cpu"
        piece = find(name, on_cpu)
        job = ours.KINDS[piece.kind](piece)
        about = {"jax": jax.__version__, "device": jax.devices()[0].device_kind}
    else:
        import torch

        from benchmarks.peers import run

        run.prepare()
        on_cpu = not torch.cuda.is_available()
        piece = find(name, on_cpu)
        job = run.KINDS[piece.kind](piece, side == "compiled")
        about = {"torch": torch.__version__}
    about |= {"python": platform.python_version(), "compile_s": job.compile_s}
    about |= {"flops": job.flops, "bytes": job.bytes}
    print(json.dumps(about), file=lines)
    for line in sys.stdin:
        job.run(1)  # what the system took away meanwhile (memory, caches) comes back untimed
        wall, processor = time.perf_counter(), time.process_time()
        job.run(int(line))
        seconds = time.perf_counter() - wall, time.process_time() - processor
        print(json.dumps(seconds), file=lines)
    print(json.dumps(peak_mib(side, on_cpu)), file=lines)


def find(name: str, on_cpu: bool):
    """The piece of a name; the two ceilings are in no table."""
    from benchmarks import pieces

    if name in ("product", "copy"):
        return pieces.Piece(name, name)
    return pieces.list_pieces(on_cpu)[name]


def peak_mib(side: str, on_cpu: bool) -> float:
    """The most memory in use: the device's, or on a CPU the process' with its libraries."""
    if on_cpu:
        whom = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return max(resource.getrusage(who).ru_maxrss for who in whom) / 1024
    if side == "ours":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


if __name__ == "__main__":
    main(*sys.argv[1:])
