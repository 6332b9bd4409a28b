"""Numbers without truth against scores with it."""

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import trust


def tables(n, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"image {i}" for i in range(n)]
    error = rng.random(n)
    doubts = pd.DataFrame({"agreement": 1 - error**2, "noise": rng.random(n)}, index=names)
    return doubts, pd.DataFrame({"f1": 1 - error, "loss": error}, index=names)


def test_a_monotone_number_tracks_and_noise_does_not():
    doubts, scores = tables(400)
    found = trust.track(doubts, scores).set_index(["number", "score"])
    assert found.loc[("agreement", "f1"), "spearman"] == pytest.approx(1)
    assert found.loc[("agreement", "loss"), "spearman"] == pytest.approx(-1)
    assert abs(found.loc[("noise", "f1"), "spearman"]) < 0.2


def test_images_pair_by_name_and_not_by_order():
    doubts, scores = tables(30)
    shuffled = trust.track(doubts, scores.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(shuffled, trust.track(doubts, scores))
    fewer = trust.track(doubts, scores.iloc[5:])
    assert set(fewer["images"]) == {25}


def test_too_few_images_and_constant_columns_give_nothing():
    doubts, scores = tables(3)
    assert trust.track(doubts, scores)["spearman"].isna().all()
    doubts, scores = tables(10)
    doubts["agreement"] = 1.0
    assert trust.track(doubts, scores)["spearman"].isna().sum() == 2
