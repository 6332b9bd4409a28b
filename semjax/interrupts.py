"""Signals that end a run: Ctrl-C, and the SIGTERM that a scheduler sends before it takes a machine.

Both become exceptions, wherever the program is. A training holds them back until its step is over
and saved.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def listen() -> Iterator[None]:
    """Makes SIGTERM an exception, as Ctrl-C is one. Does nothing outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(*_) -> None:
    raise Terminated


@contextmanager
def held() -> Iterator[list[int]]:
    """Holds both signals back; they have their effect at the end. A second one has it at once.

    Yields:
        A list that is empty until a signal comes: whoever holds it should then come to an end.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A handler that is not Python's cannot be put back; what is ignored ends nothing, as Ctrl-C in
    # the background of a shell.
    before = {n: handler for n, handler in before.items() if handler not in (None, signal.SIG_IGN)}

    def release() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _) -> None:
        if asked:
            release()
            signal.raise_signal(number)
        asked.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        release()
    if asked:
        signal.raise_signal(asked[0])
