"""Cost of the trainings of every variant in floating point operations, as XLA counts them.

    python -m benchmarks.cost

Counted are the plain forms of all layers, as accelerators compute them. Nothing is trained or
compiled. `semjax.health.PETAFLOP` holds the sums.
"""

import jax

from benchmarks import cases
from semjax import variants


def count(kind: str, variant: str) -> tuple[int, float]:
    """Steps of a variant's training, and floating point operations of one step."""
    c = cases.configure(kind, variant)
    learner, key = cases.make_learner(kind, c), jax.random.key(0)
    state = jax.eval_shape(learner.init, key)
    batch = jax.eval_shape(lambda: cases.draw_batch(kind, c, seed=0))
    return c.steps, cases.count(learner.step, state, batch, key)


def main() -> None:
    """Prints a line a variant: 1e15 operations of each training, and their sum."""
    print(f"{'':6}" + "".join(f"{name:>10}" for name in [*cases.SECTIONS.values(), "sum"]))
    for name in variants.VARIANTS:
        counted = [count(kind, name) for kind in cases.SECTIONS]
        costs = [steps * operations / 1e15 for steps, operations in counted]
        print(f"{name:6}" + "".join(f"{cost:10.3g}" for cost in [*costs, sum(costs)]))


if __name__ == "__main__":
    main()
