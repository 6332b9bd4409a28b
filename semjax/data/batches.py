"""Batches for training: one Grain pipeline, whose position Orbax can save and restore."""

from collections.abc import Callable, Iterator
from typing import Any

import grain
import jax
import numpy as np


def training(
    n_items: int,
    make: Callable[[int, np.random.Generator], Any],
    *,
    batch_size: int | tuple[int, ...],
    seed: int,
    n_threads: int = 2,
) -> Iterator[Any]:
    """Endless shuffled batches of `make(index, generator)`.

    A sample is a pure function of the seed and its position, so a restored iterator goes on with
    the very samples that would have come. Of several processes, each makes its own part of every
    batch: together they make the samples that one alone would make, in the same order.

    Args:
        n_items: indices run over 0 .. n_items - 1, each once an epoch.
        make: index and a seeded generator (for crops and augmentation) -> tree of arrays.
        batch_size: samples a batch, stacked along a new first axis; a tuple (a, b) stacks along
            two, as for a learner that makes several updates in a step. The last number is shared
            by all processes.
        seed: of shuffling and of the generators.
        n_threads: readers; threads, since the arrays lie in memory.

    Raises:
        ValueError: there is nothing to draw from, or a batch cannot be shared evenly.
    """
    if n_items < 1:
        raise ValueError("there are no training samples; expected at least one.")
    dataset = (
        grain.MapDataset.range(n_items)
        .seed(seed)
        .shuffle()
        .repeat(None)
        .random_map(lambda index, generator: make(int(index), generator))
    )
    *outer, size = (batch_size,) if isinstance(batch_size, int) else batch_size
    n_processes = jax.process_count()
    if size % n_processes:
        raise ValueError(
            f"a batch of {size} cannot be shared by {n_processes} processes; "
            "make it a multiple of their number."
        )
    dataset = dataset.batch(size // n_processes, drop_remainder=True)
    dataset = dataset[jax.process_index() :: n_processes]
    for size in reversed(outer):
        dataset = dataset.batch(size, drop_remainder=True)
    options = grain.ReadOptions(num_threads=n_threads, prefetch_buffer_size=4)
    return iter(dataset.to_iter_dataset(options))
