"""Every convolution of a step or a prediction alone, beside PyTorch's.

    python -m benchmarks.convolutions segmenter predict_16 --largest=12

Names are those of `python -m benchmarks`. All calls that a step makes are collected, forward and
for both gradients, and each is timed alone, the least of several. So the sums say how much of a
step is convolutions and how far those of XLA's libraries are from PyTorch's; they are no step's
time, in which operations are fused and may run side by side. They hold, on both sides, gradients
that are asked for but that nobody needs, and that the compiler drops; what a scan repeats (the
critic's updates of the WGAN-GP) counts once. PyTorch's threads wait badly beside other work: both
cores must be quiet.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from benchmarks import cases, pieces
from semjax.data import tiles
from semjax.networks import layers
from semjax.predict import GRID_PX, OVERLAP_PX

KINDS = {"_correlate": "forward", "_spread": "by input", "_match": "by kernel"}


@contextmanager
def collect(calls: Counter) -> Iterator[None]:
    """Counts what is asked of `layers` meanwhile: kind, the arrays' shapes, the rest."""
    plain = {name: getattr(layers, name) for name in KINDS}
    inside = False

    def watch(name: str) -> Callable:
        def call(x, y, *rest):
            nonlocal inside
            if inside:  # a gradient's first half calls the function that it belongs to
                return plain[name](x, y, *rest)
            calls[name, x.shape, y.shape, rest] += 1
            inside = True
            try:
                return plain[name](x, y, *rest)
            finally:
                inside = False

        return call

    for name in KINDS:
        setattr(layers, name, watch(name))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(layers, name, function)


def calls_of(name: str) -> Counter:
    """What a piece of the benchmarks asks for: a step, or all tiles and flips of a micrograph."""
    piece = pieces.list_pieces(on_cpu=True)[name]
    calls: Counter = Counter()
    if piece.kind == "predict":
        network = cases.make_unet(
            "segmenter", cases.configure("segmenter", "cpu", {"filters": piece.changes["filters"]})
        )
        tile = jnp.zeros((1, *piece.changes["tile_px"], 1))
        variables = jax.eval_shape(lambda: network.init(jax.random.key(0), tile[:, :64, :64]))
        with collect(calls):
            jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, tile)
        image_px, tile_px = piece.changes["image_px"], piece.changes["tile_px"]
        n = 4 * len(tiles.origins(image_px, tile_px, OVERLAP_PX, GRID_PX))
        return Counter({call: n * count for call, count in calls.items()})
    c = cases.configure(piece.kind, piece.variant, piece.changes)
    learner = cases.make_learner(piece.kind, c)
    state = jax.eval_shape(learner.init, jax.random.key(0))
    with collect(calls):
        jax.eval_shape(learner.step, state, cases.draw_batch(piece.kind, c, 0), jax.random.key(0))
    return calls


def ours(name: str, x: np.ndarray, y: np.ndarray, rest: tuple) -> Callable[[], None]:
    """A call, compiled."""
    function = jax.jit(lambda x, y: getattr(layers, name)(x, y, *rest))
    put = jnp.asarray(x), jnp.asarray(y)
    return lambda: function(*put).block_until_ready()


def to_torch(x: np.ndarray) -> Tensor:
    """NHWC, or a kernel HWIO, as PyTorch has them in channels-last memory."""
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def theirs(name: str, x: np.ndarray, y: np.ndarray, rest: tuple) -> Callable[[], None]:
    """PyTorch's call; zeros that it cannot add by itself cost it nothing."""
    stride, ((top, bottom), (left, right)) = rest[0], rest[1]
    even = top == bottom and left == right
    padding = (top, left) if even else (0, 0)
    around = (0, 0) if even else (top + bottom, left + right)
    turn, kernel_turn = (0, 3, 1, 2), (3, 2, 0, 1)

    def grown(shape: tuple) -> list[int]:
        n, h, w, c = shape
        return [n, c, h + around[0], w + around[1]]

    if name == "_spread":
        outputs, kernel = to_torch(x.transpose(turn)), to_torch(y.transpose(kernel_turn))
        shape = grown(rest[2])
        return lambda: torch.nn.grad.conv2d_input(shape, kernel, outputs, stride, padding)
    if not even:
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    images = to_torch(x.transpose(turn))
    if name == "_match":
        outputs, shape = to_torch(y.transpose(turn)), [rest[2][i] for i in kernel_turn]
        return lambda: torch.nn.grad.conv2d_weight(images, shape, outputs, stride, padding)
    kernel = to_torch(y.transpose(kernel_turn))
    return lambda: torch.nn.functional.conv2d(images, kernel, None, stride, padding)


def least_ms(run: Callable[[], None]) -> float:
    """The shortest of several."""
    seconds = []
    for _ in range(8):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * min(seconds)


def operations(name: str, x_shape: tuple, y_shape: tuple, rest: tuple) -> float:
    """Floating point operations of a call: a sum over the output pixels, whatever is looked for."""
    kernel = rest[2] if name == "_match" else y_shape
    pixels = {"_spread": x_shape, "_match": y_shape}.get(name)
    if pixels is None:
        x, y = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x_shape, y_shape))
        pixels = jax.eval_shape(lambda x, y: layers._correlate(x, y, *rest), x, y).shape
    return 2.0 * math.prod(pixels[:3]) * math.prod(kernel)


def main() -> None:
    """Prints the sums by kind, and the calls that lose most."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convolutions", description=__doc__)
    parser.add_argument("pieces", nargs="+")
    parser.add_argument("--largest", type=int, default=10, help="single calls to list")
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    for piece in given.pieces:
        sums: Counter = Counter()
        lines = []
        for (name, x_shape, y_shape, rest), n in calls_of(piece).items():
            rng = np.random.default_rng(0)
            x, y = (rng.normal(size=s).astype(np.float32) for s in (x_shape, y_shape))
            pair = [least_ms(side(name, x, y, rest)) for side in (ours, theirs)]
            work = operations(name, x_shape, y_shape, rest)
            for key, value in (("ours", pair[0]), ("torch", pair[1]), ("work", work)):
                sums[name, key] += n * value
            kernel = rest[2] if name == "_match" else y_shape
            rates = [work / ms / 1e6 for ms in pair]
            lines.append((n * (pair[0] - pair[1]), n, KINDS[name], x_shape, kernel, *pair, *rates))
        lines.sort(reverse=True)
        print(f"{piece}: all convolutions alone, ms")
        for name, kind in KINDS.items():
            if sums[name, "ours"]:
                a, b, work = (sums[name, key] for key in ("ours", "torch", "work"))
                rates = f"{work / a / 1e6:.0f} and {work / b / 1e6:.0f} GFLOP/s"
                print(f"  {kind:9} ours {a:8.1f}  PyTorch {b:8.1f}  ({a / b:.2f}; {rates})")
        print("  times, kind, array, kernel: ms of one, ours and PyTorch's; GFLOP/s")
        for _, n, kind, shape, kernel, a, b, rate, their_rate in lines[: given.largest]:
            print(
                f"  {n:3} {kind:9} {shape!s:20} {kernel!s:17} {a:7.2f} {b:7.2f}"
                f"  {rate:4.0f} {their_rate:4.0f}"
            )


if __name__ == "__main__":
    main()
