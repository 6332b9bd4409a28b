"""The stream of training batches: shuffled, whole, seeded, and resumed where it was."""

import numpy as np
import pytest

from semjax.data import batches


def stream(n_items=7, *, batch_size=3, seed=0, make=None):
    return batches.training(
        n_items,
        make or (lambda index, generator: {"index": np.int64(index), "drawn": generator.random(2)}),
        batch_size=batch_size,
        seed=seed,
    )


def take(batches, n):
    return [next(batches) for _ in range(n)]


def equal(a, b):
    return all(
        np.array_equal(x[name], y[name])
        for x, y in zip(a, b, strict=True)
        for name in ("index", "drawn")
    )


@pytest.mark.parametrize(("n_items", "batch_size"), [(7, 3), (7, 7), (3, 5), (1, 2)])
def test_every_epoch_holds_every_item_once(n_items, batch_size):
    epochs = 2 * batch_size
    found = take(stream(n_items, batch_size=batch_size), 2 * n_items)
    order = np.concatenate([batch["index"] for batch in found]).reshape(epochs, n_items)
    assert (np.sort(order, axis=1) == np.arange(n_items)).all()
    if n_items > 3:
        assert len({tuple(epoch) for epoch in order}) > 1  # shuffled anew


def test_an_item_is_made_otherwise_in_every_epoch():
    found = take(stream(4, batch_size=4), 20)
    drawn = np.concatenate([batch["drawn"] for batch in found])
    assert np.unique(drawn).size == drawn.size


@pytest.mark.parametrize(
    ("batch_size", "shape"), [(3, (3,)), ((3,), (3,)), ((2, 3), (2, 3)), ((1, 2), (1, 2))]
)
def test_batch_sizes_are_the_first_axes(batch_size, shape):
    batch = next(stream(batch_size=batch_size))
    assert batch["index"].shape == shape
    assert batch["drawn"].shape == (*shape, 2)


def test_a_batch_of_several_updates_holds_what_single_batches_would():
    single, double = stream(batch_size=3), stream(batch_size=(2, 3))
    for batch in take(double, 3):
        for i, expected in enumerate(take(single, 2)):
            assert np.array_equal(batch["index"][i], expected["index"])
            assert np.array_equal(batch["drawn"][i], expected["drawn"])


def test_the_seed_decides():
    assert equal(take(stream(seed=5), 6), take(stream(seed=5), 6))
    assert not equal(take(stream(seed=5), 6), take(stream(seed=6), 6))


@pytest.mark.parametrize("position", [0, 1, 5, 11])
def test_a_restored_stream_goes_on_with_the_very_samples(position):
    original = stream()
    take(original, position)
    state = original.get_state()
    expected = take(original, 8)
    restored = stream()
    take(restored, 3)  # it may have been somewhere else
    restored.set_state(state)
    assert equal(take(restored, 8), expected)


def test_the_number_of_threads_does_not_matter():
    make = lambda index, generator: {"index": np.int64(index), "drawn": generator.random(2)}
    one, four = (
        batches.training(7, make, batch_size=3, seed=0, n_threads=n_threads) for n_threads in (1, 4)
    )
    assert equal(take(one, 8), take(four, 8))


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(ValueError, match="no training samples"):
        stream(0)


def test_an_error_in_a_sample_is_not_swallowed():
    def make(index, generator):
        raise RuntimeError("sample 3 cannot be made")

    with pytest.raises(RuntimeError, match="sample 3 cannot be made"):
        next(stream(make=make))
