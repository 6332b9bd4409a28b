"""Masks in relief: particles shaded at random, on a ground with faint lines.

They need not look real, that is learnt. They hold what has to be told apart: borders of particles
from steps of brightness within one, and particles from marks on the ground.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from semjax.synth import place

LEAST = 0.3  # of a particle; the ground stays well below
GREY = (0.45, 0.75)  # range of the particles' own greys
SLOPE, FACET, RIM = 0.12, 0.1, 0.2  # most that a slope or a facet adds or takes, and a rim adds
WAVES = (1.5, 3.0)  # range of the lengths of slopes and facets, in diameters of particles
LINE = 0.15  # grey of the clearest lines of the ground
EDGE = 0.5  # of a dome, which is 1 in the middle
RIPPLES = (0.6, 1.2)  # range of the lengths of waves whose contours they are
N_RIPPLES, OF_PARTICLE = 5, 9  # random numbers of a particle: three, and three for each wave
BATCH = 32  # masks at a time; a pixel takes the room of its particle's random numbers


def reliefs(
    domes: np.ndarray, labels: np.ndarray, *, seed: int, diameter_px: float, domed: float
) -> np.ndarray:
    """Show a generator the particles much as a micrograph does.

    There are two kinds of masks, for borders are of more than one kind. In one, each particle has a
    grey of its own, which rises and falls along one direction; every other one has facets too, that
    is, sharper steps along another. What lies on top has a bright rim all around, what is below is
    cut without one: a step with a rim is a border, one without is not. In the other kind all
    particles are domes, brightest in the middle, with dark lines of 1 px between them. The ground
    is dark, with faint lines, clearer in some masks than in others.

    So the generator is shown much of what it has to paint, and who learns from its micrographs is
    meant neither to take every step for a border nor to need a step to find one.

    Args:
      domes: uint8 (n, h, w), 255 in the middle of a particle.
      labels: integers (n, h, w), 0 is background.
      seed: of the random numbers. Those of mask i depend on the seed and on i, not on n.
      diameter_px: mean diameter of the particles, to which slopes and lines are scaled.
      domed: share of masks of domes, from 0 to 1.

    Returns:
      float32 (n, h, w): at most LINE on the ground, from LEAST to 1 within particles, 0 on the
      lines between domes.

    Source: the rim is the edge effect of secondary electrons (Reimer, Scanning Electron Microscopy,
    1998); starting from a simple simulation is the idea of Shrivastava et al., CVPR 2017.
    """
    n, n_labels = len(labels), int(labels.max(initial=0)) + 1
    n_labels = 64 * -(-n_labels // 64)  # few different shapes
    rngs = [np.random.default_rng([seed, 9, i]) for i in range(n)]
    ground = np.float32([rng.random((N_RIPPLES + 2, 3)) for rng in rngs])
    particles = np.float32([rng.random((n_labels, OF_PARTICLE)) for rng in rngs])
    # Whole batches, so that there is one thing to compile.
    domes, labels, ground, particles = (
        np.pad(x, [(0, -n % BATCH)] + [(0, 0)] * (x.ndim - 1))
        for x in (domes, labels, ground, particles)
    )
    numbers = np.float32(diameter_px), np.float32(domed)
    return np.asarray(_reliefs(domes, labels, ground, particles, *numbers))[:n]


@jax.jit
def _reliefs(domes, labels, ground, particles, diameter_px, domed):
    relief = partial(_relief, diameter_px, domed)
    return jax.lax.map(relief, (domes, labels, ground, particles), batch_size=BATCH)


def _relief(diameter_px, domed, mask):
    """One mask (h, w): its dome and labels, the random numbers of its ground and particles."""
    dome, label, ground, particles = mask
    grey, slope, facet = (particles[:, i][label] for i in range(3))
    rising, facets = (
        _wave(_vectors(particles[:, part], WAVES, diameter_px)[label])
        for part in (slice(3, 6), slice(6, 9))
    )
    darkest, brightest = GREY
    inside = darkest + (brightest - darkest) * grey + SLOPE * slope * rising
    inside += FACET * jnp.maximum(2 * facet - 1, 0) * jnp.tanh(8 * facets)
    inside += RIM * (1 - dome / 255.0) ** 3
    raised = place.flat_mask(label, line_px=1) * (EDGE + (1 - EDGE) / 255.0 * dome)
    inside = jnp.where(ground[-1, 1] < domed, raised, jnp.clip(inside, LEAST, 1))
    return jnp.where(label > 0, inside, _ground(ground, label, diameter_px))


def _ground(drawn, label, diameter_px):
    """Contours of a field of waves, where another wave lets them be seen; float32 (h, w).

    Waves, which slopes need as well, because Perlin noise takes many times as long to compile.
    """
    ripples = _vectors(drawn[:N_RIPPLES], RIPPLES, diameter_px)
    places = _vectors(drawn[N_RIPPLES], WAVES, diameter_px)
    wave = lambda vector: _wave(jnp.broadcast_to(vector, (*label.shape, 3)))
    height = sum(map(wave, ripples))
    lines = jnp.exp(-(((height - 1) / 0.35) ** 2)) * jax.nn.sigmoid(6 * wave(places))
    return LINE * drawn[-1, 0] * lines


def _vectors(drawn, lengths, diameter_px):
    """Radians per row and per column, and the phase, of waves whose numbers were drawn; (..., 3).

    Args:
      drawn: (..., 3) in [0, 1], of direction, length and phase.
      lengths: shortest and longest, in diameters.
      diameter_px: of a particle.
    """
    shortest, longest = lengths
    direction, phase = 2 * jnp.pi * drawn[..., 0], 2 * jnp.pi * drawn[..., 2]
    rate = 2 * jnp.pi / (diameter_px * (shortest + (longest - shortest) * drawn[..., 1]))
    return jnp.stack([rate * jnp.sin(direction), rate * jnp.cos(direction), phase], axis=-1)


def _wave(vectors):
    """A plane wave within [-1, 1]; each pixel of (h, w, 3) has a vector of its own."""
    rows, cols = jnp.indices(vectors.shape[:2], dtype=jnp.float32)
    return jnp.sin(rows * vectors[..., 0] + cols * vectors[..., 1] + vectors[..., 2])
