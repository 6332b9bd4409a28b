import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from scipy import ndimage

from semjax.synth import packing, place
from semjax.synth.place import BATCH, assemble, flat_mask

RADIUS = 7


def ellipses(n=6, side=32):
    row, col = np.indices((side, side)) - (side - 1) / 2
    long = np.linspace(5, 9, n)[:, None, None]
    return ((row / long) ** 2 + (col / 5) ** 2 <= 1).astype(np.uint8)


def round_bank(side=32):
    row, col = np.indices((1, side, side))[1:] - (side - 1) / 2
    return (row**2 + col**2 <= RADIUS**2).astype(np.uint8)


def draw(bank, n=4, seed=0, **options):
    options = {"tile_px": (96, 128), "foreground": np.full(n, 0.3)} | options
    return assemble(bank, key=jax.random.key(seed), n_masks=n, **options)


@pytest.fixture(scope="module")
def crowded():
    return draw(ellipses(), n=6, foreground=np.linspace(0.3, 0.6, 6))


def inner(masks, reach=20):
    """Particles that are wholly within the tile."""
    height, width = masks.labels.shape[1:]
    row, col = masks.row, masks.col
    known = np.arange(row.shape[1]) < masks.n_placed[:, None]
    far = (row > reach) & (row < height - reach) & (col > reach) & (col < width - reach)
    return known & far


def test_masks_depend_on_key_and_number_only(crowded):
    again = draw(ellipses(), n=6, foreground=np.linspace(0.3, 0.6, 6))
    for one, other in zip(crowded, again, strict=True):
        np.testing.assert_array_equal(one, other)
    fractions = np.full(BATCH + 2, 0.2)
    few, many = (draw(ellipses(), n=n, foreground=fractions[:n]) for n in (3, BATCH + 2))
    np.testing.assert_array_equal(few.labels, many.labels[:3])
    assert len(many.labels) == BATCH + 2
    assert not np.array_equal(many.labels[0], many.labels[-1])


@pytest.mark.parametrize("options", [{}, {"placement": "uniform", "size": "uniform"}])
def test_masks_made_together_as_on_an_accelerator_are_the_same(monkeypatch, options):
    options = {"foreground": np.linspace(0.05, 0.5, 6), "n": 6, **options}
    one_by_one = draw(ellipses(), **options)
    monkeypatch.setattr(place, "_makes_together", lambda: True)
    monkeypatch.setattr(place, "TOGETHER", 4)
    for one, other in zip(one_by_one, draw(ellipses(), **options), strict=True):
        np.testing.assert_array_equal(one, other)


def test_compiled_once_for_all_batches():
    options = {"noise_frequency": 3.3, "foreground": np.full(BATCH + 1, 0.1)}
    before = packing.place_batch._cache_size()
    draw(ellipses(), n=BATCH + 1, **options)
    assert packing.place_batch._cache_size() == before + 1


def test_sizes_of_stamps_change_nothing(monkeypatch):
    options = {"n": 6, "foreground": np.linspace(0.3, 0.6, 6), "size_sigma": 0.4}
    several = draw(ellipses(), **options)
    monkeypatch.setattr(place, "STAMPS", (1.0,))  # all as large as the largest particle's
    one = draw(ellipses(), **options)
    for name in ("labels", "n_placed", "visible_area_px", "row", "col", "foreground"):
        np.testing.assert_array_equal(getattr(several, name), getattr(one, name), err_msg=name)
    # Compiled code of another size rounds otherwise: a grey value here and there.
    assert np.abs(several.domes.astype(int) - one.domes).max() <= 1
    assert np.abs(several.whole_area_px - one.whole_area_px).max() <= 1


def test_labels_and_tables_agree(crowded):
    for i, labels in enumerate(crowded.labels):
        count = crowded.n_placed[i]
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        assert len(areas) == count + 1 and areas[1:].min() > 0
        np.testing.assert_array_equal(areas[1:], crowded.visible_area_px[i, :count])
        assert not crowded.whole_area_px[i, count:].any()
    assert (crowded.visible_area_px <= crowded.whole_area_px).all()
    np.testing.assert_allclose(crowded.foreground, (crowded.labels > 0).mean((1, 2)), rtol=1e-5)
    assert not crowded.domes[crowded.labels == 0].any()


def test_density_is_met_within_a_particle(crowded):
    error_px = (crowded.foreground - np.linspace(0.3, 0.6, 6)) * 96 * 128
    assert np.abs(error_px).max() < crowded.whole_area_px.max()


def test_density_is_met_on_average():
    masks = draw(ellipses(), n=64, foreground=np.full(64, 0.2))
    assert abs(masks.foreground.mean() - 0.2) < 0.004


def test_no_foreground_no_particles():
    masks = draw(ellipses(), foreground=np.array([0, 0.2, 0, 0.2]))
    np.testing.assert_array_equal(masks.labels.any((1, 2)), [False, True, False, True])


def test_areas_of_disc():
    masks = draw(round_bank(), size="none")
    known = np.arange(masks.row.shape[1]) < masks.n_placed[:, None]
    np.testing.assert_allclose(masks.whole_area_px[known], np.pi * RADIUS**2, rtol=0.08)
    assert abs(masks.whole_area_px[known].mean() / round_bank().sum() - 1) < 0.02


def test_centres_are_where_the_particles_are():
    masks = draw(round_bank(), size="none", max_overlap=0.0, foreground=np.full(4, 0.1))
    chosen = inner(masks)
    for i in range(4):
        number = np.flatnonzero(chosen[i]) + 1
        centres = ndimage.center_of_mass(masks.labels[i] > 0, masks.labels[i], number)
        expected = np.stack([masks.row[i], masks.col[i]], 1)[number - 1]
        np.testing.assert_allclose(centres, expected, atol=0.3)


def test_factors_change_areas():
    masks = draw(round_bank(), size="uniform", size_range=(1.5, 1.5))
    areas = masks.whole_area_px[masks.whole_area_px > 0]
    assert abs(areas.mean() / (np.pi * (1.5 * RADIUS) ** 2) - 1) < 0.03


def test_lognormal_factors_stay_in_their_range():
    masks = draw(
        round_bank(), n=16, foreground=np.full(16, 0.3), size_sigma=0.5, size_range=(0.7, 1.4)
    )
    factors = np.sqrt(masks.whole_area_px[masks.whole_area_px > 0] / (np.pi * RADIUS**2))
    assert 0.63 < factors.min() < 0.8 and 1.25 < factors.max() < 1.45


def test_without_overlap_nothing_is_covered():
    masks = draw(ellipses(), max_overlap=0.0)
    chosen = inner(masks)
    assert chosen.sum() > 20
    np.testing.assert_array_equal(masks.visible_area_px[chosen], masks.whole_area_px[chosen])


def test_overlap_of_new_particles_is_limited():
    masks = draw(round_bank(), size="none", max_overlap=0.3, min_visible=0.0)
    rows, cols = np.indices((96, 128))
    share = []
    for i in range(4):
        taken = np.zeros((96, 128), bool)
        for k in range(masks.n_placed[i]):
            near = (rows - masks.row[i, k]) ** 2 + (cols - masks.col[i, k]) ** 2
            disc = near <= (RADIUS + 0.2) ** 2
            share.append((disc & taken).sum() / (np.pi * RADIUS**2))
            taken |= disc
    assert 0.15 < max(share) < 0.37


@pytest.mark.parametrize("min_visible", [0.33, 0.8])
def test_particles_stay_visible(min_visible):
    masks = draw(ellipses(), n=8, foreground=np.full(8, 0.5), min_visible=min_visible)
    chosen = inner(masks)
    fraction = masks.visible_area_px[chosen] / masks.whole_area_px[chosen]
    assert min_visible <= fraction.min() < min_visible + 0.15


def test_the_border_cuts_particles():
    masks = draw(round_bank(), size="none", n=16, foreground=np.full(16, 0.3), placement="uniform")
    covered = masks.labels > 0
    rim = np.concatenate([covered[:, [0, -1]].ravel(), covered[:, :, [0, -1]].ravel()])
    assert abs(rim.mean() - 0.3) < 0.06
    cut = ~inner(masks, RADIUS - 3) & (masks.whole_area_px > 0)
    assert (masks.visible_area_px[cut] < 0.95 * masks.whole_area_px[cut]).mean() > 0.8


def test_number_of_particles():
    masks = draw(ellipses(), n=20, foreground=None, n_particles=(5, 12), max_overlap=0.0)
    assert masks.n_placed.min() >= 5 and masks.n_placed.max() <= 12
    assert len(set(masks.n_placed)) > 3


def test_noise_gathers_particles():
    spread = []
    for placement in ("uniform", "perlin"):
        masks = draw(
            round_bank(),
            n=16,
            size="none",
            foreground=np.full(16, 0.15),
            placement=placement,
            noise_threshold=0.8,
        )
        blocks = (masks.labels > 0).reshape(16, 3, 32, 4, 32).mean((2, 4))
        spread.append(blocks.std((1, 2)).mean())
    assert spread[1] > 1.25 * spread[0]


def test_points_lie_in_the_patches():
    patches = np.zeros((12, 20), bool)
    patches[2:4, 5:9] = patches[11, 19] = patches[0, 0] = True
    row, col = packing._scatter(jax.random.uniform(jax.random.key(0), (3, 2000)), patches)
    found = np.zeros(patches.shape, int)
    np.add.at(found, (np.floor(row).astype(int), np.floor(col).astype(int)), 1)
    np.testing.assert_array_equal(found > 0, patches)
    assert found[patches].min() > 120


@pytest.mark.parametrize("grid", ["cubic", "hexagonal"])
def test_grids(grid):
    masks = draw(
        round_bank(), n=2, size="none", grid=grid, grid_spacing=0.5, grid_jitter=0.0,
        placement="uniform", foreground=np.ones(2),
    )  # fmt: skip
    chosen = inner(masks)
    for i in range(2):
        points = np.stack([masks.row[i], masks.col[i]], 1)[chosen[i]]
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(distance, np.inf)
        np.testing.assert_allclose(distance.min(1), 16, atol=0.01)
        assert (np.diff(points[:, 0]) < 0).any()  # not row after row


def test_rotation():
    bar = np.zeros((1, 32, 32), np.uint8)
    bar[0, 13:19, 4:28] = 1

    def extents(rotation):
        masks = draw(bar, n=4, size="none", rotation=rotation, max_overlap=0.0)
        chosen = inner(masks)
        return np.concatenate(
            [
                [
                    s[0].stop - s[0].start
                    for k, s in zip(c, ndimage.find_objects(m), strict=False)
                    if k
                ]
                for c, m in zip(chosen, masks.labels, strict=True)
            ]
        )

    assert extents("none").max() <= 7
    turned = extents("correlated")
    assert turned.min() <= 12 and turned.max() > 18


@pytest.mark.parametrize("line_px", [1, 2, 3])
def test_lines_separate_particles(crowded, line_px):
    flat = np.asarray(flat_mask(crowded.labels, line_px=line_px))
    assert not flat[crowded.labels == 0].any()
    for mask, labels in zip(flat, crowded.labels, strict=True):
        parts, n = ndimage.label(mask)
        index = np.arange(1, n + 1)
        np.testing.assert_array_equal(
            ndimage.minimum(labels, parts, index), ndimage.maximum(labels, parts, index)
        )


def test_lines_have_their_width():
    labels = np.repeat([[1] * 8 + [2] * 8 + [0] * 4], 6, 0)
    for line_px in range(4):
        flat = np.asarray(flat_mask(labels, line_px=line_px))
        np.testing.assert_array_equal(flat[:, :16].sum(1), 16 - line_px)
        assert flat[:, 12:16].all() and flat[:, 0].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": "perlyn"}, "placement is one of perlin, uniform; got 'perlyn'"),
        ({"foreground": np.full(3, 0.2)}, "fraction between 0 and 1"),
        ({"foreground": np.full(4, 20.0)}, "fraction between 0 and 1"),
        ({"size_range": (1.2, 1.8)}, "must enclose 1"),
        ({"noise_threshold": 1.0}, "noise threshold"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        draw(ellipses(), **options)


def test_sizes_may_differ_to_one_side_only():
    bank = ellipses()
    made = draw(bank, size="lognormal", size_range=(1.0, 1.8))
    areas = made.whole_area_px[made.whole_area_px > 0]
    assert areas.size > 10
    assert areas.min() > 0.9 * bank.sum(axis=(1, 2)).min()  # none is smaller than drawn
    assert areas.max() > 1.1 * bank.sum(axis=(1, 2)).max()


@pytest.mark.parametrize("bank", [np.zeros((0, 16, 16)), np.zeros((2, 16, 16)), np.ones((16, 16))])
def test_bad_banks(bank):
    with pytest.raises(ValueError, match="each hold a particle"):
        draw(bank)


def test_the_number_of_devices_does_not_matter():
    """In processes of their own, since JAX counts devices once."""
    script = """
import hashlib, jax, numpy as np
from semjax.synth import place
rows, cols = np.mgrid[:24, :24] - 12
bank = np.stack([(rows / r) ** 2 + (cols / 5) ** 2 < 1 for r in (4, 6, 8)]).astype(np.uint8)
foreground = np.linspace(0.1, 0.5, 100, dtype=np.float32)
made = place.assemble(
    bank, key=jax.random.key(1), tile_px=(64, 64), n_masks=100, foreground=foreground
)
print(jax.device_count(), hashlib.sha256(b"".join(x.tobytes() for x in made)).hexdigest())
"""
    found = {}
    for n in ("1", "3"):
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": n}
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        found[n] = run.stdout.split()
    assert found["1"][0] == "1" and found["3"][0] == "3"
    assert found["1"][1] == found["3"][1]
