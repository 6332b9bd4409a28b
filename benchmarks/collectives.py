"""What the devices tell one another in a training's step, as XLA compiles it for several of them.

    python -m benchmarks.collectives wgan_gp cyclegan segmenter classifier

On simulated CPU devices, with the networks of the variant `cpu` and a sample for each device. The
number of messages does not depend on the networks' widths; their bytes do.
"""

import argparse
import math
import os
import re
from collections import Counter

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = os.environ.get("JAX_NUM_CPU_DEVICES", "8")

import jax  # noqa: E402  after the number of devices

from benchmarks import cases  # noqa: E402
from semjax import devices  # noqa: E402

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "f16": 2, "u8": 1}


def compile_step(kind: str) -> str:
    """The compiled program of a step, its batch split over all devices."""
    n = jax.device_count()
    c = cases.configure(kind, "cpu", {"batch_size": n})
    learner = cases.make_learner(kind, c)
    grid = devices.mesh()
    axis = int(kind == "wgan_gp")  # its batches come several at once
    whole, split = devices.replicated(grid), devices.split(grid, axis=axis)
    batch = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split),
        cases.draw_batch(kind, c, seed=0),
    )
    state = jax.eval_shape(learner.init, jax.random.key(0, impl="rbg"))

    def update(state, batch, key):
        batch = jax.lax.with_sharding_constraint(batch, split)
        return learner.step(state, batch, key)

    # As `semjax.training.fit` compiles it.
    made = jax.jit(update, in_shardings=(whole, split, whole), out_shardings=whole)
    return made.lower(state, batch, jax.random.key(0)).compile().as_text()


def count(program: str) -> dict[str, tuple[int, int]]:
    """Messages and their bytes, by kind."""
    messages, sizes = Counter(), Counter()
    for line in program.splitlines():
        found = re.search(rf" = (.*?) ({'|'.join(KINDS)})(?:-start)?\(", line)
        if found:
            messages[found[2]] += 1
            for name, shape in re.findall(r"(\w+)\[([\d,]*)\]", found[1]):
                sizes[found[2]] += BYTES.get(name, 4) * math.prod(
                    int(n) for n in shape.split(",") if n
                )
    return {kind: (messages[kind], sizes[kind]) for kind in messages}


def main() -> None:
    """Prints a line for each kind of message in each training."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.collectives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=list(cases.SECTIONS), help="trainings")
    for name in parser.parse_args().names:
        for kind, (messages, size) in count(compile_step(name)).items():
            print(f"{name}: {messages} x {kind}, {size / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main()
