"""Seeds of the stages."""

import itertools

from semjax import seeds, settings
from semjax.workdir import STAGES


def test_no_two_trainings_share_a_seed():
    found = set()
    for seed, repeat in itertools.product(range(20), range(5)):
        config = settings.get_config()
        config.seed = seed
        for name in ("segment", "classify"):
            config[name].repeat = repeat
        found |= {seeds.of_stage(config, name) for name in STAGES if name in config}
    trained_once = len(STAGES) - 2
    assert len(found) == 20 * (trained_once + 2 * 5)
    assert 0 <= min(found) and max(found) < 2**31
    assert seeds.of_stage(settings.get_config(), "segment") == seeds.of_stage(
        settings.get_config(), "segment"
    )
