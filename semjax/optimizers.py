"""The optimisers and schedules in use, as functions of plain numbers."""

import optax

# Keras' Adam, which the published results were made with, adds 1e-7 where Optax adds 1e-8.
EPSILON = 1e-7


def adam(learning_rate: optax.ScalarOrSchedule, *, b1: float = 0.9, b2: float = 0.999):
    """Adam with Keras' epsilon.

    Source: Kingma & Ba, ICLR 2015.
    """
    return optax.adam(learning_rate, b1=b1, b2=b2, eps=EPSILON)


def constant_then_linear(learning_rate: float, *, steps: int, decay_from: float) -> optax.Schedule:
    """Constant up to the share `decay_from` of the steps, then linear to 0 at `steps`.

    Source: Zhu et al., ICCV 2017 (CycleGAN), whose second half of training decays.
    """
    begin = round(decay_from * steps)
    return optax.linear_schedule(
        learning_rate, 0.0, transition_steps=max(steps - begin, 1), transition_begin=begin
    )


def halving(learning_rate: float, *, every: int) -> optax.Schedule:
    """The learning rate halved every `every` steps."""
    return optax.exponential_decay(learning_rate, every, 0.5, staircase=True)
