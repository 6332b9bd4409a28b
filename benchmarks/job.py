"""What a side of a piece hands to the process that times it."""

from collections.abc import Callable
from typing import NamedTuple


class Job(NamedTuple):
    """Something compiled and ready.

    Attributes:
        run: does the work so many times, and waits for the end.
        compile_s: time that tracing and compiling took, and nothing else.
        flops: floating point operations of one time, by the plain form of every layer; None if
            nobody counts them.
        bytes: read and written by one time, as the compiler counts; None likewise.
    """

    run: Callable[[int], None]
    compile_s: float = 0.0
    flops: float | None = None
    bytes: float | None = None
