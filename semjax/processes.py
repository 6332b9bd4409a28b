"""Several processes that do one run together, on one machine or many, joined by JAX's runtime.

All of them go through the same plan. The first one leads: it alone writes files and messages, and
does alone what is not shared; the others take part in the trainings and measure their share of the
images. They meet in the work folder, which all of them must see.
"""

import atexit
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from absl import flags, logging

T = TypeVar("T")
PATIENCE_S = 90  # a network disk may show new files late
LONGEST_WAIT_MS = 7 * 24 * 3600 * 1000

USAGE = """\
  --distributed         one of several processes that work together, started with the same command;
                        SLURM, Open MPI, Kubernetes and TPU pods are detected
  --coordinator=HOST:PORT --num_processes=N --process_id=I  where they are not: HOST is that of
                        process 0, PORT any free one there
"""


def define(values: flags.FlagValues) -> None:
    """Defines the flags of `USAGE`."""
    flags.DEFINE_bool("distributed", False, "", flag_values=values)
    flags.DEFINE_string("coordinator", None, "", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process_id", None, "", lower_bound=0, flag_values=values)


def check(values: flags.FlagValues) -> None:
    """Refuses flags that do not go together.

    Raises:
        ValueError: the message says which.
    """
    given = (values.coordinator, values.num_processes, values.process_id)
    if all(value is None for value in given):
        return
    if None in given or not values.distributed:
        raise ValueError(
            "--coordinator, --num_processes and --process_id are given together, with --distributed"
        )
    if values.process_id >= values.num_processes:
        raise ValueError(
            f"--process_id={values.process_id}: of {values.num_processes} processes the last is "
            f"{values.num_processes - 1}"
        )
    if not values.coordinator.rpartition(":")[2].isdigit():
        raise ValueError(f"--coordinator={values.coordinator}: expected HOST:PORT")


@contextmanager
def joined(values: flags.FlagValues) -> Iterator[None]:
    """Joins the other processes if the flags say so, and leaves with them at the end.

    Raises:
        ValueError: no cluster is detected here.
        ConnectionError: the others cannot be reached, or one of them has ended.
    """
    if not values.distributed:
        yield
        return
    import jax

    # Or SIGTERM would be noted and not obeyed.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(values.coordinator, values.num_processes, values.process_id)
    except ValueError as error:
        raise ValueError(
            f"--distributed: no cluster is detected here ({error}); give --coordinator=HOST:PORT "
            "--num_processes=N --process_id=I"
        ) from error
    except RuntimeError as error:
        raise ConnectionError(f"--distributed: {_first_line(error)}") from error
    # After an error, JAX's own way out would wait minutes for processes that wait for this one.
    atexit.register(_leave)
    if not leads():
        logging.set_verbosity(logging.ERROR)
    logging.info("%d processes with %d devices", jax.process_count(), jax.device_count())
    try:
        yield
        meet("end")
    except AssertionError as error:
        raise ValueError(
            f"process {jax.process_index()}: the processes do not do the same; start all of them "
            f"with the same command in folders that they share ({_first_line(error)})"
        ) from error
    except Exception as error:
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            raise ConnectionError(
                f"process {jax.process_index()}: work with the other processes has failed; most "
                "likely one of them has ended, and its own messages say why. Start all of them "
                "again with the same command: the run goes on from its last checkpoint. "
                f"({_first_line(error)})"
            ) from error
        raise
    atexit.unregister(_leave)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def place() -> tuple[int, int]:
    """This process's number, from 0, and how many there are."""
    import jax

    if not jax.distributed.is_initialized():
        return 0, 1
    return jax.process_index(), jax.process_count()


def leads() -> bool:
    """Whether this is the process that writes."""
    return place()[0] == 0


def meet(name: str) -> None:
    """Waits until every process has come to the point of this name, for days if need be.

    Raises:
        AssertionError: some process has come to a point of another name.
    """
    if place()[1] > 1:
        from jax.experimental import multihost_utils
        from orbax.checkpoint import multihost

        # The devices' own way to wait gives up after half an hour on CPUs.
        multihost.get_barrier_sync_fn()(key="meet", timeout_ms=LONGEST_WAIT_MS)
        multihost_utils.sync_global_devices(name)


def share(items: Sequence[T]) -> Sequence[T]:
    """Every n-th of some items, beginning with this process's number: its part of the work."""
    first, n = place()
    return items[first::n]


def agree(value: float) -> float:
    """The first process's value, for numbers that may differ by rounding between machines."""
    if place()[1] == 1:
        return value
    import numpy as np
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def await_file(path: Path) -> None:
    """Waits for a file that the first process has written.

    Raises:
        FileNotFoundError: it does not come.
    """
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > end:
            raise FileNotFoundError(
                f"process {place()[0]} does not see {path}, which process 0 has written; give a "
                "folder on a disk that all processes share"
            )
        time.sleep(0.5)
