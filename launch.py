"""Runs the workflow: `python launch.py --config=configs/tio2.py`. See `--help`."""

import sys

from semjax import hugepages
from semjax.main import main

if __name__ == "__main__":
    hugepages.restart()
    sys.exit(main(sys.argv[1:]))
