"""Where messages go: the terminal, and `log.txt` in the work folder."""

import logging as std_logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from absl import logging

from semjax.interrupts import Terminated
from semjax.workdir import explained

H = TypeVar("H", bound=std_logging.Handler)


@contextmanager
def show(*, verbose: bool = False) -> Iterator[None]:
    """Shows this package's messages on the terminal, and other libraries' warnings."""
    logger = logging.get_absl_logger()
    level, propagate = logging.get_verbosity(), logger.propagate
    logging.set_verbosity(logging.DEBUG if verbose else logging.INFO)
    # Libraries give the root logger a handler of their own, which would say all things twice.
    logger.propagate = False
    handler = _attach(_Terminal(), "%(asctime)s %(message)s", "%H:%M:%S")
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logging.set_verbosity(level)


@contextmanager
def keep(path: Path) -> Iterator[None]:
    """Writes the messages to a file too, and how a run ended if it did not come to its end."""
    with explained(path):
        handler = _File(path, encoding="utf-8")
    _attach(
        handler,
        "%(asctime)s %(levelname)s %(message)s",
        "%Y-%m-%d %H:%M:%S",
    )
    try:
        yield
    except KeyboardInterrupt as error:  # asked for: its place is of no interest
        logging.info("ended by %s", "SIGTERM" if isinstance(error, Terminated) else "Ctrl-C")
        raise
    except BaseException:
        with suppress(OSError), path.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        raise
    finally:
        logging.get_absl_logger().removeHandler(handler)
        with suppress(OSError):
            handler.close()


def _attach(handler: H, line: str, time_format: str) -> H:
    handler.setFormatter(std_logging.Formatter(line, time_format))
    handler.addFilter(_is_ours)
    logging.get_absl_logger().addHandler(handler)
    return handler


def _is_ours(record: std_logging.LogRecord) -> bool:
    """Other libraries use the same logger, and tell much at the level of information."""
    return _is_own(record) or record.levelno >= std_logging.WARNING


def _is_own(record: std_logging.LogRecord) -> bool:
    return Path(__file__).parent in Path(record.pathname).parents


class _File(std_logging.FileHandler):
    """A log that says nothing where the disk is full: the run itself comes to say it."""

    def handleError(self, record: std_logging.LogRecord) -> None:
        pass


class _Terminal(std_logging.Handler):
    """Writes to what is standard error at the moment: a progress bar replaces it for a while."""

    def emit(self, record: std_logging.LogRecord) -> None:
        # Another library's error that matters comes as an exception too, and is told in one line.
        if record.exc_info and not _is_own(record):
            return
        print(self.format(record), file=sys.stderr)
