"""Reads cases one by one, as its parent asks, with no more memory than a user may have to give."""

import json
import os
import resource
import shutil
import sys
import traceback
import warnings
from pathlib import Path

from tests import fuzz

MEMORY = 2 * 2**30  # bytes in all


def main() -> None:
    """Answers each line `{"kind", "seed", "number", "folder"}` with a line of what was found."""
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print is not an answer.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    warnings.filterwarnings("error", module=r"semjax\.")
    for kind in fuzz.KINDS:
        fuzz.load(kind)
    _limit()
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(asked.pop("folder"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            found = fuzz.run(folder=folder, **asked)
        except Exception:
            found = {"make": traceback.format_exc()}
        print(json.dumps(found), file=answers, flush=True)


def _limit() -> None:
    """Lets the process grow to `MEMORY`; libraries reserve much that they never use."""
    pages = Path("/proc/self/statm").read_text().split()
    reserved, used = (int(n) * resource.getpagesize() for n in pages[:2])
    limit = reserved + MEMORY - used
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
