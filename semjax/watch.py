"""Known failures of the two adversarial trainings, found while they run and told in plain words.

Every function looks at numbers or at samples and changes nothing. A training calls them when it
logs or draws samples, and warns once of each name; the warnings reach the terminal, `log.txt` and
the report. The limits are far from what good trainings show, so that a warning is worth a look.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

WINDOW = 4  # rows of metrics that have to agree
STEEP = 30.0  # gradient penalty: the critic's slope is then above 6 instead of 1
GROWTH = 5.0  # a distance that falls in a good training, beside the least so far
FOOLS_NOBODY, NEVER_WRONG = 0.8, 0.02  # adversarial and discriminator loss; in balance 0.25 both
EMPTY = 0.5  # share of drawn outlines without a pixel
ALIKE = 0.3  # diversity of what is drawn beside that of what was given
FAINT = 0.25  # contrast painted between particles and ground, in SDs of the real images
LOST = 0.2  # foreground of found masks beside that of the masks of training
GHOSTS = 0.3  # share of a mask's particles that its micrograph does not show
BLOCK_PX = 8  # tiles are compared in means over such squares, which noise hardly changes


class Finding(NamedTuple):
    """One failure: what it is called, and a sentence that says what was seen and what to change."""

    name: str
    text: str


def wgan(rows: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Looks for a critic that diverges.

    Args:
        rows: the metrics logged so far, in order.
    """
    last = rows[-WINDOW:]
    if len(last) < WINDOW:
        return []
    penalty = float(np.mean([row["penalty"] for row in last]))
    distance = [abs(row["wasserstein"]) for row in rows]
    usual, now = min(_running_means(distance)), float(np.mean(distance[-WINDOW:]))
    if penalty < STEEP and now < GROWTH * usual:
        return []
    return [
        Finding(
            "critic diverges",
            f"the critic diverges: its gradient penalty is {penalty:.3g} (1 to 5 in a good "
            f"training) and its distance {now:.3g}, {now / max(usual, 1e-12):.1f} times the least "
            "so far. Lower shapes.learning_rate, or raise shapes.gradient_penalty.",
        )
    ]


def outlines(drawn: np.ndarray, given: np.ndarray) -> list[Finding]:
    """Looks for a generator of outlines that draws nothing, or always the same.

    Args:
        drawn: (n, s, s) in [-1, 1], particles above 0.
        given: (k, s, s), particles above 0.
    """
    full = drawn[(drawn > 0).any((1, 2))]
    empty = 1 - len(full) / len(drawn)
    if empty >= EMPTY:
        return [
            Finding(
                "empty outlines",
                f"{empty:.0%} of the drawn outlines are empty. Train longer (shapes.steps), or do "
                "without the network: shapes.method='given' or 'polygons'.",
            )
        ]
    ours, theirs = _diversity(full), _diversity(given)
    if ours >= ALIKE * theirs:
        return []
    return [
        Finding(
            "outlines alike",
            f"mode collapse: two drawn outlines differ in {ours:.0%} of their area, two given ones "
            f"in {theirs:.0%}. Lower shapes.learning_rate or raise shapes.n_critic; give more "
            "outlines; or do without the network: shapes.method='given' or 'polygons'.",
        )
    ]


def cyclegan(rows: Sequence[Mapping[str, float]], *, label_smoothing: float = 0.0) -> list[Finding]:
    """Looks for a discriminator that is never wrong, from which its generator learns nothing.

    Args:
        rows: the metrics logged so far, in order.
        label_smoothing: s; a generator that fools nobody has then a loss of (1 - s)^2.
    """
    last = rows[-WINDOW:]
    if len(last) < WINDOW:
        return []
    found = []
    for name, made in (("image", "micrographs"), ("mask", "masks")):
        judged = max(row[f"discriminator_{name}"] for row in last)
        fooled = min(row[f"adversarial_{name}"] for row in last)
        if judged < NEVER_WRONG and fooled > FOOLS_NOBODY * (1 - label_smoothing) ** 2:
            found.append(
                Finding(
                    f"discriminator of {made} too strong",
                    f"the discriminator of {made} is too strong: its loss is at most {judged:.2g} "
                    f"and the generator's at least {fooled:.2g} (both 0.25 in balance), so that "
                    "the generator learns nothing from it. Lower translate.discriminator_width, "
                    "or set translate.discriminator_noise or translate.label_smoothing to 0.1.",
                )
            )
    return found


def translation(
    *, masks: np.ndarray, fake_images: np.ndarray, images: np.ndarray, fake_masks: np.ndarray
) -> list[Finding]:
    """Looks for particles that vanish in translation, and for translations all alike.

    Args:
        masks: (n, h, w) in [-1, 1], the ground at -1, one particle at least.
        fake_images: (n, h, w), the micrographs made of them.
        images: (n, h, w) in [-1, 1], other, real ones.
        fake_masks: (n, h, w), the masks made of these.
    """
    inside = masks > -0.5
    share, found_share = float(inside.mean()), float((fake_masks > -0.5).mean())
    findings = []
    if inside.any() and not inside.all():
        contrast = float(fake_images[inside].mean() - fake_images[~inside].mean())
        contrast /= max(float(images.std()), 1e-6)
        if contrast < FAINT:
            seen = "darker than the ground" if contrast < -FAINT else "hardly brighter than ground"
            findings.append(
                Finding(
                    "vanishing particles",
                    f"vanishing particles: the micrographs made of masks show them {seen} "
                    f"(contrast {contrast:.2f} SD of the real images). Raise "
                    "translate.cycle_weight or train longer (translate.steps); "
                    "look whether masks and images are equally dense (masks.density='match') and "
                    "whether particles are brighter than the ground (else data.dark_particles).",
                )
            )
    if found_share < LOST * share:
        findings.append(
            Finding(
                "empty masks",
                f"empty masks: those made of real images cover {found_share:.1%} of the area, "
                f"those given {share:.1%}. Raise translate.cycle_weight or train longer "
                "(translate.steps); look whether masks and images are equally dense "
                "(masks.density='match', translate.foreground_range).",
            )
        )
    for made, fakes, real in (
        ("micrographs", fake_images, images),
        ("masks", fake_masks, masks),
    ):
        ours, theirs = _spread(fakes), _spread(real)
        if ours < ALIKE / 2 * theirs:
            findings.append(
                Finding(
                    f"{made} alike",
                    f"mode collapse: {made} made of different tiles differ {ours / theirs:.2f} "
                    "times as much as those given. Lower translate.learning_rate, raise "
                    "translate.cycle_weight, or keep more earlier fakes (translate.pool).",
                )
            )
    return findings


def ghosts(removed: float) -> list[Finding]:
    """Looks for masks whose micrographs show too few of the particles.

    Args:
        removed: share of particles that the filter took out.
    """
    if removed < GHOSTS:
        return []
    return [
        Finding(
            "ghosts",
            f"{removed:.0%} of the particles are not to be seen in the micrographs made of their "
            "masks and were taken out (5 to 10 % in a good run). Train longer (translate.steps) "
            "or raise translate.cycle_weight, and look at 4_filter/sample.png: if the particles "
            "are there, take another filter.threshold.",
        )
    ]


def _running_means(values: Sequence[float]) -> np.ndarray:
    return np.convolve(values, np.ones(WINDOW) / WINDOW, "valid")


def _diversity(outlines: np.ndarray) -> float:
    """Mean over all pairs of 1 - IoU; 0 where there are no pairs."""
    if len(outlines) < 2:
        return 0.0
    flat = (outlines > 0).reshape(len(outlines), -1).astype(np.float32)
    both = flat @ flat.T
    either = np.add.outer(flat.sum(1), flat.sum(1)) - both
    pairs = np.triu_indices(len(flat), 1)
    return float(np.mean(1 - both[pairs] / np.maximum(either[pairs], 1)))


def _spread(tiles: np.ndarray) -> float:
    """Mean SD over tiles, place by place, of the means over squares."""
    n, h, w = tiles.shape
    h, w = h // BLOCK_PX * BLOCK_PX, w // BLOCK_PX * BLOCK_PX
    squares = tiles[:, :h, :w].reshape(n, h // BLOCK_PX, BLOCK_PX, w // BLOCK_PX, BLOCK_PX)
    return float(squares.mean((2, 4)).std(0).mean())
