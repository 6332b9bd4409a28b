"""Seeds of trainings."""

import itertools

import pytest

from semjax import seeds, settings


@pytest.mark.parametrize("stage", ["segment", "classify"])
def test_no_two_trainings_share_a_seed(stage):
    found = set()
    for seed, repeat in itertools.product(range(20), range(5)):
        config = settings.get_config()
        config.seed, config[stage].repeat = seed, repeat
        found.add(seeds.of_training(config, stage))
        if repeat == 0:
            assert seeds.of_training(config, stage) == seed
    assert len(found) == 20 * 5 and 0 <= min(found) and max(found) < 2**31
