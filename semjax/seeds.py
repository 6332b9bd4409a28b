"""Seeds of trainings: every repeat has random numbers of its own."""

import numpy as np


def of_training(seed: int, repeat: int) -> int:
    """The run's seed; for a repeat of a stage's training one that is no run's."""
    if repeat == 0:
        return seed
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0] >> 1)
