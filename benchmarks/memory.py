"""Memory that XLA plans for a step of the full CycleGAN: `python -m benchmarks.memory`.

Prints the state's and the step's own GB, with activations kept and computed again
(`translate.remat`). Nothing is trained; compiling takes two minutes. On a CPU the plan holds
half-precision activations in single precision, so an accelerator needs less.
"""

import os

# The default order of operations suits several cores, not memory.
os.environ["XLA_FLAGS"] = "--xla_cpu_enable_concurrency_optimized_scheduler=false"

import jax

from benchmarks import cases
from semjax.networks import layers


def main() -> None:
    """Prints a line for each way."""
    key = jax.random.key(0)
    for remat in (False, True):
        c = cases.configure("cyclegan", "gpu", {"remat": remat})
        learner = cases.make_learner("cyclegan", c)
        state = jax.eval_shape(learner.init, key)
        batch = jax.eval_shape(lambda c=c: cases.draw_batch("cyclegan", c, seed=0))
        with layers.force_blocks(False):
            step = jax.jit(learner.step, donate_argnums=0).lower(state, batch, key).compile()
        plan = step.memory_analysis()
        own, given = plan.temp_size_in_bytes / 1e9, plan.argument_size_in_bytes / 1e9
        print(f"remat={remat}: {given:.1f} GB given to it, {own:.1f} GB of its own")


if __name__ == "__main__":
    main()
