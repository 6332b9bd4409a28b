"""Seeds: every stage, and every repeat of its training, has random numbers of its own."""

import numpy as np
from ml_collections import ConfigDict

from semjax.workdir import STAGES


def of_stage(config: ConfigDict, stage: str) -> int:
    """The seed of a stage: another one for each `seed`, stage and `repeat`; below 2**31."""
    key = [config.seed, STAGES.index(stage), config[stage].get("repeat", 0)]
    return int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
