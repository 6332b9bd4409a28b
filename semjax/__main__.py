"""`python -m semjax run --config=…`, the same as the command `semjax`."""

import sys

from semjax.main import console

sys.exit(console())
