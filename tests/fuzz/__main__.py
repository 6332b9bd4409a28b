"""Makes and reads cases: `python -m tests.fuzz --cases=10000 --seed=0`.

    --only=pictures,rois     these kinds; all that `tests/fuzz/__init__.py` lists if left away
    --case=pictures:17       one case again, in this process; its files stay in --folder
    --timeout=60             seconds that a case may take
    --folder=DIR             where cases are made; a folder for temporary files if left away

The exit code is 0 if every case was read or refused with a clear sentence.
"""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from absl import app, flags

from tests import fuzz

CASES = flags.DEFINE_integer("cases", 10_000, "how many in all", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the cases")
ONLY = flags.DEFINE_list("only", [], "kinds")
CASE = flags.DEFINE_string("case", "", "KIND:NUMBER")
TIMEOUT = flags.DEFINE_float("timeout", 60.0, "seconds")
FOLDER = flags.DEFINE_string("folder", "", "where cases are made")


class Worker:
    """A process that reads cases; it is started again when it hangs or dies."""

    def __init__(self, folder: Path, timeout: float):
        self.folder, self.timeout = folder, timeout
        self.process: subprocess.Popen | None = None

    def run(self, kind: str, seed: int, number: int) -> dict[str, str]:
        """What `fuzz.run` returns, or that the process hung or died."""
        if self.process is None:
            command = [sys.executable, "-m", "tests.fuzz.worker"]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            timeout = self.timeout + 300  # imports, on a busy machine
        else:
            timeout = self.timeout
        place = self.folder / f"{kind}-{number}"
        asked = {"kind": kind, "seed": seed, "number": number, "folder": str(place)}
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):  # it died between two cases
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        answer = self.process.stdout.readline() if ready else ""
        subprocess.run(["rm", "-rf", str(place)], check=True)
        if answer:
            return json.loads(answer)
        self.close()
        return {"process": "died" if ready else f"took more than {timeout:g} s"}

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.kill()
            with contextlib.suppress(BrokenPipeError):
                self.process.communicate()
            self.process = None


def main(argv: list[str]) -> int:
    """Reads all cases asked for and prints a table, and each failure with how to repeat it."""
    if argv[1:]:
        raise app.UsageError(f"not understood: {' '.join(argv[1:])}")
    if unknown := set(ONLY.value) - set(fuzz.KINDS):
        raise app.UsageError(f"unknown kinds {unknown}; there are {', '.join(fuzz.KINDS)}")
    folder = Path(FOLDER.value or tempfile.mkdtemp(prefix="fuzz-"))
    if CASE.value:
        kind, number = CASE.value.split(":")
        place = folder / f"{kind}-{number}"
        place.mkdir(parents=True)
        found = fuzz.run(kind, SEED.value, int(number), place)
        print(f"files: {place}\n{json.dumps(found, indent=2)}")
        return int(not set(found.values()) <= {"read", "refused"})
    kinds = ONLY.value or list(fuzz.KINDS)
    whole = sum(fuzz.KINDS[kind] for kind in kinds)
    failures = 0
    worker = Worker(folder, TIMEOUT.value)
    print(f"{'kind':<12}{'cases':>8}{'read':>8}{'refused':>9}{'failed':>8}{'seconds':>9}")
    for kind in kinds:
        n, started = max(1, round(CASES.value * fuzz.KINDS[kind] / whole)), time.monotonic()
        counts, failed = Counter(), []
        for number in range(n):
            found = worker.run(kind, SEED.value, number)
            bad = {name: what for name, what in found.items() if what not in ("read", "refused")}
            counts["failed" if bad else next(iter(found.values()))] += 1  # by the main reader
            failed += [f"--case={kind}:{number} {name}: {what}" for name, what in bad.items()]
        seconds = time.monotonic() - started
        row = "".join(f"{counts[c]:>{w}}" for c, w in (("read", 8), ("refused", 9), ("failed", 8)))
        print(f"{kind:<12}{n:>8}{row}{seconds:>9.1f}", flush=True)
        for line in failed:
            print(f"  python -m tests.fuzz --seed={SEED.value} {line}", flush=True)
        failures += counts["failed"]
    worker.close()
    return int(failures > 0)


if __name__ == "__main__":
    app.run(main)
