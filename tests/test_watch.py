"""Failures that were made up are found; good trainings, as they were recorded, raise no alarm."""

import re
from pathlib import Path

import numpy as np
import pytest

from semjax import settings, watch

# What two good trainings logged: of the phantom, and the hardest rows of a real material.
WGAN = [
    {"penalty": 2.97, "wasserstein": 92.2},
    {"penalty": 3.63, "wasserstein": 108.2},
    {"penalty": 2.84, "wasserstein": 88.0},
    {"penalty": 2.43, "wasserstein": 77.8},
    {"penalty": 2.23, "wasserstein": 72.8},
]
CYCLEGAN = [
    {
        "adversarial_image": image,
        "adversarial_mask": mask,
        "discriminator_image": judged_image,
        "discriminator_mask": judged_mask,
    }
    for image, mask, judged_image, judged_mask in [
        (0.670, 0.497, 0.388, 0.431),
        (0.505, 0.319, 0.199, 0.270),
        (0.334, 0.333, 0.238, 0.237),
        (0.403, 0.378, 0.208, 0.218),
        (0.442, 0.389, 0.154, 0.186),
        (0.504, 0.393, 0.148, 0.177),
        (0.372, 0.645, 0.191, 0.0989),
        (0.394, 0.606, 0.183, 0.0934),
    ]
]


def discs(n, *, seed=0, px=64):
    """Pictures of a disc or two, -1 and 1: (n, px, px)."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:px, :px]
    pictures = np.full((n, px, px), -1.0, np.float32)
    for picture in pictures:
        for _ in range(2):
            row, col, radius = *rng.uniform(10, px - 10, 2), rng.uniform(5, 14)
            picture[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 1.0
    return pictures


def micrographs(masks, *, contrast=0.8, seed=1):
    noise = np.random.default_rng(seed).normal(0, 0.15, masks.shape)
    return (contrast * (masks + 1) / 2 - 0.6 + noise).astype(np.float32)


def names(findings):
    return [finding.name for finding in findings]


def test_good_trainings_raise_no_alarm_at_any_time():
    for n in range(len(WGAN) + 1):
        assert not watch.wgan(WGAN[:n])
    for n in range(len(CYCLEGAN) + 1):
        assert not watch.cyclegan(CYCLEGAN[:n])
    assert not watch.cyclegan(CYCLEGAN[-1:] * 50)


def test_a_diverging_critic_is_found_by_its_slope():
    steep = [row | {"penalty": 60.0} for row in WGAN]
    assert names(watch.wgan(steep)) == ["critic diverges"]
    assert "shapes.learning_rate" in watch.wgan(steep)[0].text


@pytest.mark.parametrize("sign", [1, -1])
def test_a_diverging_critic_is_found_by_its_distance(sign):
    growing = [{"penalty": 2.0, "wasserstein": sign * 10.0 * 1.5**i} for i in range(12)]
    told = [n for n in range(13) if watch.wgan(growing[:n])]
    assert told and told[0] > watch.WINDOW, "from a time on, and not from the start"
    assert told == list(range(told[0], 13))


@pytest.mark.parametrize("name, made", [("image", "micrographs"), ("mask", "masks")])
def test_a_discriminator_that_is_never_wrong_is_found(name, made):
    won = [
        row | {f"discriminator_{name}": 0.004, f"adversarial_{name}": 0.97} for row in CYCLEGAN[:4]
    ]
    assert names(watch.cyclegan(won)) == [f"discriminator of {made} too strong"]
    assert not watch.cyclegan([*won[:3], CYCLEGAN[5]]), "once wrong is enough"
    assert not watch.cyclegan(won[:3]), "too early to say"


def test_smoothed_labels_lower_what_a_beaten_generator_loses():
    rows = [row | {"discriminator_mask": 0.004, "adversarial_mask": 0.7} for row in CYCLEGAN]
    assert not watch.cyclegan(rows)
    assert watch.cyclegan(rows, label_smoothing=0.2)


def test_outlines_as_different_as_those_given_are_good():
    assert not watch.outlines(discs(40, seed=1), discs(30, seed=2))
    assert not watch.outlines(discs(40), (discs(30, seed=2) > 0).astype(np.uint8))


def test_outlines_all_alike_are_a_mode_collapse():
    given = discs(30, seed=2)
    one = np.repeat(given[:1], 40, axis=0)
    one[::3] = np.roll(one[::3], 1, axis=2)
    (finding,) = watch.outlines(one, given)
    assert finding.name == "outlines alike" and "mode collapse" in finding.text
    assert "shapes.method" in finding.text


def test_alike_outlines_are_good_where_those_given_are_alike():
    alike = np.repeat(discs(1), 30, axis=0)
    assert not watch.outlines(alike, alike)
    assert not watch.outlines(alike, alike[:1])


def test_empty_outlines_are_found():
    drawn = discs(40)
    drawn[:25] = -1
    (finding,) = watch.outlines(drawn, discs(30))
    assert finding.name == "empty outlines" and "62% of the drawn" in finding.text
    drawn[:] = -1
    assert names(watch.outlines(drawn, discs(30))) == ["empty outlines"]


def translated(**changed):
    masks, others = discs(6, seed=3), discs(6, seed=4)
    tiles = {
        "masks": masks,
        "fake_images": micrographs(masks),
        "images": micrographs(others, seed=2),
        "fake_masks": others,
    }
    return watch.translation(**(tiles | changed))


def test_a_good_translation_raises_no_alarm():
    assert not translated()
    masks = discs(6, seed=3)
    assert not translated(fake_images=micrographs(masks, contrast=0.3)), "faint, but there"
    assert not translated(fake_masks=np.roll(masks, 5, 1) - 0.3), "not quite at the top"


def test_particles_that_are_not_painted_are_found():
    nothing = micrographs(np.full_like(discs(6), -1))
    assert "vanishing particles" in names(translated(fake_images=nothing))
    dark = micrographs(discs(6, seed=3), contrast=-0.8)
    (finding,) = translated(fake_images=dark)
    assert finding.name == "vanishing particles" and "darker than the ground" in finding.text
    assert "data.dark_particles" in finding.text


def test_particles_painted_in_the_wrong_places_are_found():
    assert "vanishing particles" in names(translated(fake_images=micrographs(discs(6, seed=9))))


def test_empty_masks_are_found():
    found = translated(fake_masks=np.full_like(discs(6), -1))
    assert "empty masks" in names(found)


def test_the_same_picture_for_every_mask_is_a_mode_collapse():
    one = np.repeat(micrographs(discs(1, seed=3)), 6, axis=0)
    assert "micrographs alike" in names(translated(fake_images=one))
    assert names(translated(fake_masks=np.repeat(discs(1), 6, axis=0))) == ["masks alike"]


def test_a_single_tile_is_no_collapse():
    masks = discs(1, seed=3)
    images = micrographs(masks)
    assert not watch.translation(masks=masks, fake_images=images, images=images, fake_masks=masks)


def test_too_many_ghosts_are_told():
    assert not watch.ghosts(0.06)
    (finding,) = watch.ghosts(0.55)
    assert "55%" in finding.text and "translate.steps" in finding.text


def test_every_cure_names_settings_that_there_are():
    known = settings.get_config()
    text = Path(watch.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(data|shapes|masks|translate|filter)\.([a-z_]+)\b", text))
    assert len(named) > 10
    for section, name in named:
        assert name in known[section], f"{section}.{name}"
