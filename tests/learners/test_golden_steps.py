"""One seeded step of each learner against stored numbers.

A mismatch means that the same seed, data and settings now train something else: a loss, a network,
an initial value, an optimiser or the use of random keys has changed. If nobody meant to change
these, it is a defect. If the change is meant, results of earlier versions can no longer be
reproduced: say so in CHANGELOG.md, and renew the numbers in the same commit:

    SEMJAX_RENEW_GOLDEN=1 python -m pytest tests/learners/test_golden_steps.py -m "slow or not slow"

Another version of JAX is no reason for more than rounding, which the tolerance allows for.
"""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-3
NAMES = ("wgan_gp", "cyclegan", "segmenter", "classifier")


def norm(before, after):
    """Length of the change of a tree's numbers; counts, which would outweigh them, aside."""
    total = 0.0
    for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
        if new.dtype == np.float32:
            total += np.sum((np.asarray(new, np.float64) - np.asarray(old, np.float64)) ** 2)
    return float(np.sqrt(total))


def summarize(case):
    """The metrics of one step, and how far each part of the state moves."""
    state = case.init(jax.random.key(0))
    after, metrics = case.step(state, case.batch, jax.random.key(1))
    found = {f"metric {name}": float(value) for name, value in metrics.items()}
    for name in vars(state).keys() - {"step", "pooled"}:
        value = getattr(state, name)
        found[f"start of {name}"] = norm(jax.tree.map(np.zeros_like, value), value)
        found[f"change of {name}"] = norm(value, getattr(after, name))
    return found


@pytest.mark.parametrize(
    ("name", "published"),
    [(name, False) for name in NAMES]
    + [pytest.param(name, True, marks=pytest.mark.slow) for name in NAMES],
)
def test_one_step_gives_the_stored_numbers(name, published, cases):
    path = FOLDER / f"{name}{'_published' if published else ''}.json"
    found = summarize(cases(name, published=published))
    assert np.isfinite(list(found.values())).all(), found
    if os.environ.get("SEMJAX_RENEW_GOLDEN"):
        text = {key: float(f"{value:.6g}") for key, value in sorted(found.items())}
        path.write_text(json.dumps(text, indent=2) + "\n")
    expected = json.loads(path.read_text())
    assert found.keys() == expected.keys(), __doc__
    wrong = {
        key: f"{found[key]:.6g} instead of {value:.6g}"
        for key, value in expected.items()
        if found[key] != pytest.approx(value, rel=TOLERANCE, abs=1e-7)
    }
    assert not wrong, f"{name}: {wrong}\n\n{__doc__}"
