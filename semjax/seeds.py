"""Seeds of trainings: every repeat has random numbers of its own."""

import numpy as np
from ml_collections import ConfigDict


def of_training(config: ConfigDict, stage: str) -> int:
    """The run's seed; for a repeat of a stage's training one that is no run's."""
    repeat = config[stage].repeat
    if repeat == 0:
        return config.seed
    return int(np.random.SeedSequence([config.seed, repeat]).generate_state(1)[0] >> 1)
