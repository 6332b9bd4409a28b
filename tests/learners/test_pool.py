"""Properties of the pool of earlier fakes, on fakes of one pixel that hold their number."""

import jax
import numpy as np
import pytest

from semjax.learners.cyclegan import swap_with_pool

swap = jax.jit(swap_with_pool)


def simulate(size, n, steps, *, seed=0):
    """Yields before, fakes, after and shown, as numbers, of every step."""
    pool = np.zeros((size, 1, 1, 1), np.float32)
    key = jax.random.key(seed)
    for step in range(steps):
        fakes = 1 + step * n + np.arange(n, dtype=np.float32)
        before = pool
        pool, shown = swap(
            pool, step * n, fakes.reshape(n, 1, 1, 1), key=jax.random.fold_in(key, step)
        )
        yield tuple(np.asarray(x).ravel() for x in (before, fakes, pool, shown))


@pytest.mark.parametrize(("size", "n"), [(6, 2), (4, 4), (5, 1), (7, 3)])
def test_a_filling_pool_stores_every_fake_and_shows_it_unchanged(size, n):
    whole = size // n
    for step, (_, fakes, pool, shown) in enumerate(simulate(size, n, whole)):
        assert np.array_equal(shown, fakes)
        stored = (step + 1) * n
        assert sorted(pool[pool > 0]) == list(range(1, stored + 1))


@pytest.mark.parametrize(("size", "n"), [(6, 2), (4, 4), (5, 1), (7, 3)])
def test_nothing_is_lost_doubled_or_invented(size, n):
    for step, (before, fakes, pool, shown) in enumerate(simulate(size, n, 40)):
        assert (shown > 0).all(), "an empty place of the pool was shown"
        if step >= size // n:
            assert sorted([*before, *fakes]) == sorted([*pool, *shown])


def test_half_of_the_shown_are_earlier_fakes_from_everywhere():
    size, n, steps = 8, 2, 300
    earlier, ages = 0, []
    for step, (_, fakes, _, shown) in enumerate(simulate(size, n, steps)):
        old = ~np.isin(shown, fakes)
        if step >= size // n:
            earlier += old.sum()
            ages.extend(step - (shown[old] - 1) // n)
    drawn = n * (steps - size // n)
    assert abs(earlier / drawn - 0.5) < 4 * 0.5 / np.sqrt(drawn)
    # A stored fake leaves with the chance 1 in 8 a step: its mean age is 8 steps.
    assert 5 < np.mean(ages) < 11


def test_every_place_of_the_pool_is_used():
    changed = np.zeros(6, bool)
    for step, (before, _, pool, _) in enumerate(simulate(6, 2, 60)):
        if step >= 3:
            changed |= before != pool
    assert changed.all()
