"""How long one waits before anything happens: `python benchmarks/startup.py`.

Prints the median and the spread of five starts each: of Python alone, of the help, of the import,
and of a finished workflow (that of configs/smoke.py, which is made first, in some minutes).
"""

import subprocess
import sys
import tempfile
import time
from statistics import median

ROUNDS = 5


def measure(*arguments: str) -> list[float]:
    """Seconds of each start of Python with these arguments, in order of size."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)


def main() -> None:
    """Prints a line for each way to start."""
    with tempfile.TemporaryDirectory() as folder:
        smoke = ("launch.py", "--config=configs/smoke.py", f"--workdir={folder}/smoke")
        subprocess.run([sys.executable, *smoke], check=True, capture_output=True)
        for name, arguments in (
            ("python alone", ("-c", "")),
            ("semjax --help", ("-m", "semjax", "--help")),
            ("import semjax", ("-c", "import semjax")),
            ("import semjax, load a network", ("-c", "import semjax; semjax.load")),
            ("finished workflow, second start", smoke),
        ):
            taken = measure(*arguments)
            print(f"{name:34} {median(taken):6.2f} s  ({taken[0]:.2f} to {taken[-1]:.2f})")


if __name__ == "__main__":
    main()
