"""True masks and true micrographs of the phantom in place of learnt ones."""

import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from ml_collections import ConfigDict

from semjax import rows, stacks, workdir
from semjax.synth import place, relief
from semjax.workdir import Work

N_MASKS = 12


def simulate(copy, **changes):
    copy.run_alone("masks", masks__source="phantom", **changes)
    stack = {name: stacks.read(copy.masks / f"{name}.tif") for name in ("labels", "micrographs")}
    return stack | {"particles": pd.read_csv(copy.masks / "particles.csv")}


def test_masks_of_the_phantom_are_true(copy):
    assembled = pd.read_csv(copy.masks / "particles.csv")
    shutil.rmtree(copy.shapes)  # not needed
    made = simulate(copy, translate__foreground_range=(0.02, 0.8))
    labels, particles = made["labels"], made["particles"]
    assert labels.shape == made["micrographs"].shape == (N_MASKS, 64, 64)
    assert labels.dtype == np.uint16 and made["micrographs"].dtype == np.uint8
    assert list(particles) == list(assembled)
    assert (particles["visible_area_px"] <= particles["whole_area_px"]).all()
    assert (particles["visible_area_px"] < particles["whole_area_px"]).any()
    for i, mask in enumerate(labels):
        own = particles[particles["mask"] == i]
        np.testing.assert_array_equal(own["label"], np.arange(1, mask.max() + 1))
        np.testing.assert_array_equal(own["visible_area_px"], np.bincount(mask.ravel())[1:])
        assert 0.02 <= (mask > 0).mean() <= 0.8
        micrograph = made["micrographs"][i].astype(float)
        assert micrograph[mask > 0].mean() > micrograph[mask == 0].mean() + 30
    assert len({mask.tobytes() for mask in labels}) == N_MASKS
    reliefs = stacks.read(copy.masks / "reliefs.tif")
    shown = np.asarray(place.flat_mask(labels, line_px=1)) > 0
    assert reliefs[shown].min() > 255 * relief.LINE >= reliefs[labels == 0].max() - 0.5
    assert reliefs.max() > 255 * relief.GREY[1]  # some rim is bright


def test_masks_of_the_phantom_are_those_of_the_seed(copy):
    first = simulate(copy, masks__n_masks=5)
    again, other = simulate(copy, masks__n_masks=7), simulate(copy, masks__n_masks=5, seed=1)
    for name in ("labels", "micrographs"):
        np.testing.assert_array_equal(first[name], again[name][:5])
        assert len(first[name]) == len(other[name]) == 5
        assert not np.array_equal(first[name], other[name])


def test_masks_of_the_phantom_are_not_of_the_measured_micrographs(copy):
    made = simulate(copy)
    for path in (copy.inputs / "truth").iterdir():
        truth = tifffile.imread(path) > 0
        for row in range(0, 160 - 63, 64):
            for col in range(0, 160 - 63, 64):
                tile = truth[row : row + 64, col : col + 64]
                assert not tile.any() or not (tile == (made["labels"] > 0)).all(axis=(1, 2)).any()


def test_a_foreground_that_no_tile_has_is_refused(copy):
    with pytest.raises(ValueError, match=r"only 0 tiles .* widen translate\.foreground_range"):
        simulate(copy, translate__foreground_range=(0.99, 1.0))


def test_rows_of_true_parts(copy):
    config = copy.settings()
    masks = {"masks": {"source": "phantom"}, "score": {"beside": False}}
    config.rows.oracle_masks = ConfigDict(masks)
    as_it_is = {"threshold": "none", "snap_edges": False}
    translation = {"translate": {"source": "phantom"}, "filter": as_it_is}
    config.rows.oracle_translation = ConfigDict({**masks, **translation})
    rows.run(config, copy)

    learnt, given = (Work(copy.path / "rows" / name) for name in config.rows)
    assert not learnt.shapes.exists() and not given.shapes.exists()
    assert given.masks.resolve() == learnt.masks.resolve() != copy.masks.resolve()
    assert (learnt.translate / "gan_masks").exists() and (learnt.filter / "gan_labels").exists()
    micrographs = (given.masks / "micrographs.tif").read_bytes()
    assert (given.translate / "fakes.tif").read_bytes() == micrographs
    for name in ("model", "gan_masks", "checkpoints"):
        assert not (given.translate / name).exists()
    assert not (given.filter / "gan_labels").exists()
    np.testing.assert_array_equal(
        stacks.read(given.filter / "labels.tif"), stacks.read(given.masks / "labels.tif")
    )
    assert (given.path / "report.html").exists()

    table = pd.read_csv(copy.path / "table.csv").set_index("row")
    assert {"semjax", "oracle_masks", "oracle_translation"} <= set(table.index)
    for column in ("PQ", "kept F1, truth's verdicts", "mean min Feret error, truth's verdicts"):
        assert table.loc[["semjax", "oracle_masks", "oracle_translation"], column].notna().all()


def test_a_translation_that_is_given_is_scored_without_the_cyclegan(copy):
    copy.run_alone("masks", masks__source="phantom")
    copy.run_alone("translate", translate__source="phantom")
    summary = copy.run_alone("filter")
    assert summary["removed share of the CycleGAN's masks"] is None
    copy.run_alone("score", score__legacy=True)
    table = workdir.read_json(copy.score / "scores.json")
    assert set(table) == {"semjax", "blur, Li, watershed"}


def test_the_truth_s_verdicts_choose_no_wrong_particle(finished):
    kept = pd.read_csv(finished.score / "kept.csv").set_index(["method", "choice"])
    ours, best = (kept.loc[(name, "truth's verdicts")] for name in ("semjax", "truth's own masks"))
    assert ours["precision"] == 1 and best["f1"] == 1
    others = kept.loc["semjax"]
    assert (ours["recall"] >= others["recall"]).all() and (ours["f1"] >= others["f1"]).all()
    sizes = pd.read_csv(finished.score / "sizes.csv").set_index(["method", "choice", "quantity"])
    assert sizes.loc[("semjax", "truth's verdicts", "min_feret_nm"), "n_found"] == ours["tp"]
