"""Signals held back while a step is made."""

import signal

from semjax import interrupts


def test_a_signal_that_is_ignored_ends_nothing():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for programs in the background
    try:
        with interrupts.held() as asked:
            signal.raise_signal(signal.SIGINT)
        assert not asked and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
