"""Speed of every piece beside PyTorch: `python -m benchmarks [--only=NAMES] [--out=FOLDER]`.

Each side of a piece runs in a process of its own, so that its memory is its own; the processes take
turns, so that whatever else the machine does meets all of them. See README.md beside this file.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks import pieces, report
from semjax import hugepages

TURN_S = 1.0  # a turn repeats what is shorter
LONG_S = 60.0  # what takes so long gets one turn alone
ROUNDS = 5


class Side:
    """A process that serves one side of a piece."""

    def __init__(self, name: str, side: str, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.name = f"{name}, {side}"
        self.about = self.read()
        self.turns: list[tuple[float, float]] = []
        self.times = 1

    def read(self):
        """The next line it says.

        Raises:
            RuntimeError: it has ended instead.
        """
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} failed with code {self.process.wait()}")
        return json.loads(line)

    def take_turn(self) -> float:
        """Measures once; returns the turn's seconds."""
        print(self.times, file=self.process.stdin, flush=True)
        wall, processor = self.read()
        self.turns.append((wall / self.times, processor / self.times))
        return wall

    def finish(self) -> dict:
        """Ends the process; returns what was found about the side."""
        self.process.stdin.close()
        mib = self.read()
        self.process.wait()
        wall, processor = zip(*self.turns, strict=True)
        return self.about | {
            "seconds": median(wall),
            "processor_s": median(processor),
            "turns": wall,
            "mib": mib,
        }


def measure(name: str, piece: pieces.Piece, have: list[str], environment: dict[str, str]) -> dict:
    """All sides of a piece, in turn, ours first; a peer that fails is left out and told."""
    if (n := piece.devices) is not None:
        visible = environment.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(n)))
        environment = environment | {
            "JAX_NUM_CPU_DEVICES": str(n),
            "CUDA_VISIBLE_DEVICES": ",".join(visible.split(",")[:n]),
        }
    running: dict[str, Side] = {}
    for side in ("ours", *(side for side in piece.peers if side in have)):
        try:
            running[side] = Side(name, side, environment)
        except RuntimeError as error:
            if side == "ours":
                raise
            print(f"left out: {error}", file=sys.stderr)
    longest = 0.0
    for side in running.values():
        seconds = side.take_turn()
        longest = max(longest, seconds)
        side.times = max(1, round(TURN_S / seconds))
    if longest < LONG_S:
        for side in running.values():
            side.turns.clear()
        for turn in range(ROUNDS):
            order = list(running.values())
            for side in order if turn % 2 == 0 else reversed(order):
                side.take_turn()
    return {side: process.finish() for side, process in running.items()}


def prepare() -> dict[str, str]:
    """The environment of all sides: memory as `semjax run` has it, nothing compiled before."""
    environment = dict(os.environ)
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the sides share a device's memory
    environment["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if hugepages.possible():
        tunables = ":".join(f"{name}={value}" for name, value in hugepages.TUNABLES.items())
        environment["GLIBC_TUNABLES"] = tunables
    return environment


def describe() -> dict[str, str | int]:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x
        ]
        model = names[0] if names else model
    return {
        "date": date.today().isoformat(),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }


def find_peers() -> list[str]:
    """The peers that can run here."""
    try:
        import torch
    except ImportError:
        print("no PyTorch: ours alone (pip install --group benchmarks)", file=sys.stderr)
        return []
    if torch.cuda.is_available() or any(map(shutil.which, ("g++", "clang++"))):
        return ["eager", "compiled"]
    print("no C++ compiler: PyTorch without torch.compile", file=sys.stderr)
    return ["eager"]


def read_earlier(folder: Path) -> dict[str, dict]:
    """What was found on this machine in a folder, so that pieces can be measured again alone."""
    path = folder / "benchmarks.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"machine": {}, "found": {}}
    same = earlier["machine"] | {"date": ""} == describe() | {"date": ""}
    return earlier["found"] if same else {}


def find_devices() -> tuple[str, int]:
    """Kind and number of JAX's devices, asked of a process that ends: this one is to hold none."""
    code = "import jax; print(jax.default_backend(), jax.local_device_count())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    kind, n = out.stdout.split()
    return kind, int(n)


def main() -> int:
    """Measures, prints the table and writes it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="names or beginnings of names, with commas")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder")
    parser.add_argument("--peers", default="eager,compiled", help="sides to compare with")
    parser.add_argument(
        "--markdown", action="store_true", help="put the results into benchmarks/README.md, too"
    )
    given = parser.parse_args()
    kind, n_devices = find_devices()
    every = pieces.list_pieces(kind == "cpu")
    if kind != "cpu":  # no choice of some of a TPU's; a CPU's are simulated
        known = range(1, n_devices + 1) if kind == "gpu" else (n_devices,)
        every = {name: x for name, x in every.items() if x.devices is None or x.devices in known}
    wanted = set(filter(None, given.only.split(",")))
    begins = tuple(wanted - every.keys())
    chosen = [name for name in every if not wanted or name in wanted or name.startswith(begins)]
    if not chosen:
        print(f"error: no piece is called {given.only}; there are {', '.join(every)}")
        return 2
    have = [side for side in find_peers() if side in given.peers.split(",")]
    given.out.mkdir(parents=True, exist_ok=True)
    environment, found = prepare(), read_earlier(given.out) if wanted else {}
    with tempfile.TemporaryDirectory() as cache:
        environment["TORCHINDUCTOR_CACHE_DIR"] = cache
        for name in ["product", "copy", *chosen]:
            piece = every.get(name, pieces.Piece(name, name, peers=("eager",)))
            print(f"{name} …", file=sys.stderr, flush=True)
            found[name] = measure(name, piece, have, environment)
            report.write_json(
                given.out / "benchmarks.json", {"machine": describe(), "found": found}
            )
    rows = report.make_rows(found, every)
    print(report.table(rows))
    report.write_all(given.out, rows, found, every)
    if given.markdown:
        report.write_readme(Path(__file__).parent, given.out, describe(), found, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
