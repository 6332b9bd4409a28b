"""Single convolutions: ours and PyTorch's are the same sums, and all of a step are counted."""

from collections import Counter

import jax
import numpy as np
import pytest

pytest.importorskip("torch", reason="the peers are PyTorch's: dependency group benchmarks")

from benchmarks import convolutions  # noqa: E402
from semjax.networks import layers  # noqa: E402

EVEN, UNEVEN = ((1, 1), (1, 1)), ((0, 1), (0, 1))
CALLS = [
    ("_correlate", (2, 8, 8, 3), (3, 3, 3, 5), (1, EVEN)),
    ("_correlate", (2, 8, 8, 3), (3, 3, 3, 5), (2, UNEVEN)),
    ("_spread", (2, 4, 4, 5), (3, 3, 3, 5), (2, UNEVEN, (2, 8, 8, 3))),
    ("_spread", (2, 8, 8, 5), (3, 3, 3, 5), (1, EVEN, (2, 8, 8, 3))),
    ("_match", (2, 8, 8, 3), (2, 8, 8, 5), (1, EVEN, (3, 3, 3, 5))),
    ("_match", (2, 8, 8, 3), (2, 4, 4, 5), (2, UNEVEN, (3, 3, 3, 5))),
]


@pytest.mark.parametrize(("name", "x_shape", "y_shape", "rest"), CALLS)
def test_both_sides_are_the_same_sums(name, x_shape, y_shape, rest):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype(np.float32) for shape in (x_shape, y_shape))
    wanted = np.asarray(getattr(layers, name)(x, y, *rest))
    found = convolutions.theirs(name, x, y, rest)().numpy()
    found = found.transpose((2, 3, 1, 0) if name == "_match" else (0, 2, 3, 1))
    if name == "_spread":  # PyTorch's holds the zeros around, too
        found = found[:, : wanted.shape[1], : wanted.shape[2]]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_call_and_both_its_gradients_are_counted_once():
    calls: Counter = Counter()
    images, kernel = np.zeros((1, 8, 8, 2), np.float32), np.zeros((3, 3, 2, 4), np.float32)

    def loss(images, kernel):
        return (layers.conv(images, kernel) ** 2).sum()

    with convolutions.collect(calls):
        jax.eval_shape(loss, images, kernel)
        assert {name: n for (name, *_), n in calls.items()} == {"_correlate": 1}
        calls.clear()
        jax.eval_shape(jax.grad(loss, (0, 1)), images, kernel)
    assert {name: n for (name, *_), n in calls.items()} == dict.fromkeys(convolutions.KINDS, 1)
    # 64 pixels, 9 taps, 2 by 4 features; a product and a sum each.
    assert {convolutions.operations(*call) for call in calls} == {2 * 64 * 9 * 2 * 4}
