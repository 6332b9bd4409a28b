"""What each stage can do otherwise, on the artifacts of a finished run."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile

from semjax import predict, stacks, training, watch, workdir
from semjax.data import batches, images
from semjax.stages import measure, score, segment

N_MASKS = 12


@pytest.mark.parametrize("method", ["polygons", "given"])
def test_outlines_need_no_training(method, copy):
    summary = copy.run_alone("shapes", shapes__method=method, shapes__n_outlines=30)
    with np.load(copy.outlines) as stored:
        drawn = stored["outlines"]
    assert drawn.shape == (30, 64, 64) and drawn.dtype == np.uint8
    assert summary["drawn"] == 30 and not (copy.shapes / "checkpoints").exists()
    if method == "given":
        given = {
            images.read_image(p).astype(bool).sum() for p in (copy.inputs / "outlines").iterdir()
        }
        assert set(drawn.sum(axis=(1, 2))) <= given
    else:
        ratio = summary["mean area drawn (px)"] / summary["mean area given (px)"]
        assert 0.5 < ratio < 1.5


@pytest.mark.parametrize("name", ["shapes", "translate", "segment", "classify"])
def test_samples_made_on_the_device(name, copy, monkeypatch):
    training = batches.training

    def at_the_end(*args, **options):
        lines = (copy.stage(name) / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == len(before), "the host makes samples"
        return training(*args, **options)  # for the statistics of batch norms

    before = (copy.stage(name) / "metrics.jsonl").read_text().splitlines()
    monkeypatch.setattr(batches, "training", at_the_end)
    copy.run_alone(name, data__samples="device")
    after = (copy.stage(name) / "metrics.jsonl").read_text().splitlines()
    assert len(after) == len(before)
    for old, new in zip(map(json.loads, before), map(json.loads, after), strict=True):
        assert old.keys() == new.keys() and old["step"] == new["step"]
        assert np.isfinite(list(new.values())).all()
    assert list((copy.stage(name) / "samples").iterdir())


def test_masks_by_count(copy):
    summary = copy.run_alone(
        "masks",
        masks__density="count",
        masks__n_particles=(3, 5),
        masks__size="none",
        masks__placement="uniform",
    )
    assert summary["foreground wanted"] is None
    counts = pd.read_csv(copy.masks / "particles.csv")["mask"].value_counts()
    assert len(counts) == N_MASKS
    assert counts.max() <= 5 and counts.mean() > 2


def test_masks_on_a_hexagonal_grid(copy):
    copy.run_alone(
        "masks",
        masks__grid="hexagonal",
        masks__grid_spacing=0.5,
        masks__grid_jitter=0.0,
        masks__placement="uniform",
        masks__density="count",
        masks__n_particles=(400, 400),
        masks__size="uniform",
        masks__size_range=(0.4, 0.4),
    )
    particles = pd.read_csv(copy.masks / "particles.csv")
    for _, mask in particles.groupby("mask"):
        centres = mask[["row", "col"]].to_numpy()
        apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
        nearest = np.where(apart > 0, apart, np.inf).min(axis=1)
        np.testing.assert_allclose(nearest, 32.0, atol=0.1)  # half an outline's square


def grid_positions():
    return 3 * len(range(0, 160 - 64 + 1, 8)) ** 2


@pytest.mark.parametrize("tiles", ["all", "brightness"])
def test_the_generator_may_see_flat_masks_and_other_tiles(tiles, copy):
    summary = copy.run_alone(
        "translate",
        translate__mask_input="flat",
        translate__mask_noise=0.0,
        translate__tiles=tiles,
        translate__steps=2,
        translate__batch_size=1,
        translate__identity_weight=0.0,
        translate__pool=0,
    )
    if tiles == "all":
        assert summary["tiles to train on"] == grid_positions()
    else:
        assert 0 < summary["tiles to train on"] < grid_positions()
    model = predict.load(copy.translate / "model" / "to_image")
    assert model.settings["mask_input"] == "flat"
    masks = stacks.read(copy.masks / "masks.tif").astype(np.float32) / 127.5 - 1.0
    painted = predict.run_batches(model, masks[..., None], batch_size=4, sigmoid=False)[..., 0]
    fakes = stacks.read(copy.translate / "fakes.tif").astype(np.float32) / 127.5 - 1.0
    np.testing.assert_allclose(fakes, painted, atol=1.01 / 255)


def test_a_filter_of_none_keeps_every_particle(copy):
    before = stacks.read(copy.masks / "labels.tif")
    dark = np.where(before > 0, 0, 255).astype(np.uint8)  # no particle is shown
    stacks.write(copy.translate / "fakes.tif", dark)
    with pytest.raises(ValueError, match="show none of the particles"):
        copy.run_alone("filter")
    summary = copy.run_alone("filter", filter__threshold="none", filter__snap_edges=False)
    assert summary["removed share"] == 0
    table, kept = (pd.read_csv(s / "particles.csv") for s in (copy.masks, copy.filter))
    assert len(kept) == len(table)
    assert np.array_equal(stacks.read(copy.filter / "labels.tif") > 0, before > 0)


def test_a_segmenter_of_masks_is_split_by_a_watershed(copy):
    changes = {"segment__target": "mask", "measure__split": "watershed"}
    summary = copy.run_alone("segment", **changes)
    assert summary["pairs"] == N_MASKS
    model = predict.load(copy.segment / "model")
    assert model.settings["network_kwargs"]["outputs"] == 1
    assert model.settings["split"] == "watershed"
    tried = workdir.read_json(copy.segment / "threshold.json")["tried"]
    assert [row["threshold"] for row in tried] == list(segment.THRESHOLDS)
    copy.run_alone("classify", **changes)
    copy.run_alone("measure", **changes)
    assert pd.read_csv(copy.measure / "particles.csv")["kept"].any()


def test_a_segmenter_may_learn_from_given_masks(copy):
    shutil.rmtree(copy.translate)  # not needed
    shutil.rmtree(copy.filter)
    summary = copy.run_alone("segment", segment__pairs="manual")
    assert summary["pairs"] == 3
    assert predict.load(copy.segment / "model").settings["network_kwargs"]["outputs"] == 3


def test_whole_particles_may_stand_for_those_that_the_border_cuts(copy):
    before = pd.read_csv(copy.measure / "particles.csv")
    summary = copy.run_alone("measure", measure__border="weights")
    particles = pd.read_csv(copy.measure / "particles.csv")
    pd.testing.assert_frame_equal(particles, before)  # weights are always there
    kept = particles[particles["kept"]]
    expected = np.average(kept["min_feret_nm"], weights=kept["border_weight"])
    assert expected != kept["min_feret_nm"].mean()
    distribution = workdir.read_json(copy.measure / "distribution.json")
    assert distribution["border"] == "weights"
    assert distribution["min_feret"]["n"] == len(kept)
    assert distribution["min_feret"]["mean"] == pytest.approx(expected)
    assert summary["mean min Feret (nm)"] == pytest.approx(expected)
    name, first = next(iter(kept.groupby("image")))
    rows = pd.read_csv(copy.measure / "images.csv").set_index("image")
    expected = np.average(first["min_feret_nm"], weights=first["border_weight"])
    assert rows.loc[name, "mean_min_feret_nm"] == pytest.approx(expected, abs=1e-3)


def test_a_workflow_in_pixels_without_truth(copy, tmp_path):
    """Images of one's own: a folder, no pixel size, no truth."""
    config = copy.settings()
    (tmp_path / "mine").mkdir()
    for path in (copy.inputs / "images").iterdir():
        tifffile.imwrite(tmp_path / "mine" / path.name, images.read_image(path))
    config.data.source, config.data.images = "folder", str(tmp_path / "mine")
    config.data.outlines = str(copy.inputs / "outlines")
    summary = measure.run(config, copy)
    assert "mean min Feret (px)" in summary
    assert workdir.read_json(copy.measure / "distribution.json")["unit"] == "px"
    assert "min_feret_px" in pd.read_csv(copy.measure / "particles.csv")
    assert "skipped" in score.run(config, copy)


def test_a_translation_that_goes_wrong_is_told(copy, monkeypatch):
    told = []
    log = SimpleNamespace(
        info=lambda *_: None, warning=lambda text, *args: told.append(text % args)
    )
    monkeypatch.setattr(training, "logging", log)
    monkeypatch.setattr(training, "YOUNG", 0)
    monkeypatch.setattr(watch, "FAINT", 1e3)  # whatever is painted is too faint
    copy.run_alone("translate")
    (warning,) = [text for text in told if "vanishing particles" in text]
    assert warning.startswith("3_translate, step 4: ") and "translate.cycle_weight" in warning
