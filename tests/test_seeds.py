"""Seeds of trainings."""

import itertools

from semjax import seeds


def test_no_two_trainings_share_a_seed():
    found = {seeds.of_training(seed, n) for seed, n in itertools.product(range(50), range(9))}
    assert len(found) == 50 * 9 and 0 <= min(found) and max(found) < 2**31
    assert [seeds.of_training(seed, 0) for seed in range(50)] == list(range(50))
