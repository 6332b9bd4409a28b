"""The whole workflow on a tiny phantom, with networks that need no training to be of use.

`launch.py --config=configs/smoke.py` runs the same with the real networks.
"""

import json
import shutil
from importlib import import_module
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import tifffile
from flax import linen as nn
from ml_collections import ConfigDict
from scipy import ndimage

from semjax import devices, main, networks, pipeline, predict, stacks, variants, workdir
from semjax.data import images
from semjax.stages import segment as segment_stage
from semjax.workdir import Work

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.py"
N_MASKS, TILE_PX = 12, (64, 64)
BOOK_KEEPING = ("done.json", "metrics.jsonl")  # hold times


class Discs(nn.Module):
    """Draws discs whose size depends on z."""

    outline_px: int
    width: int

    @nn.compact
    def __call__(self, z, *, train=False):
        size = nn.BatchNorm(use_running_average=not train)(nn.Dense(1)(z))
        radius = self.outline_px * (0.25 + 0.05 * jnp.tanh(size))[..., None, None]
        axis = jnp.arange(self.outline_px) - self.outline_px / 2
        distance = jnp.hypot(axis[:, None], axis[None, :])
        return jnp.tanh(radius - distance[None, ..., None])


class Painter(nn.Module):
    """A dome stays a dome."""

    width: int
    downs: int
    blocks: int
    use_bias: bool
    skip: bool
    upsample: str
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        return jnp.tanh(images + 0.05 * nn.Conv(1, (3, 3))(images))


class Patches(nn.Module):
    """One strided convolution."""

    version: str
    width: int
    noise: float
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        return nn.Conv(1, (4, 4), strides=4)(images)


class Brightness(nn.Module):
    """Takes what is bright for a particle, whole."""

    filters: int
    outputs: int
    decoder: str
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(2, (3, 3))(images))
        return 8.0 * images[..., :1] + 2.0 + 0.05 * nn.Conv(self.outputs, (1, 1))(x)


class Sum(nn.Module):
    """A critic that is linear."""

    width: int

    @nn.compact
    def __call__(self, outlines, *, train=False):
        return nn.Dense(1)(outlines.reshape(outlines.shape[0], -1))[:, 0]


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """Small networks in place of the real ones, whose compilation takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.OUTLINE_GENERATORS, "wgan", Discs)
        patch.setitem(networks.OUTLINE_CRITICS, "wgan", Sum)
        patch.setitem(networks.TRANSLATORS, "resnet", Painter)
        patch.setitem(networks.DISCRIMINATORS, "patch", Patches)
        patch.setitem(networks.SEGMENTERS, "multires_unet", Brightness)
        patch.setitem(networks.CLASSIFIERS, "multires_unet", Brightness)
        patch.setattr(devices, "keep_compiled", lambda: None)  # it would be of the small ones
        yield


def run(folder: Path, *flags: str) -> None:
    assert main.main([f"--config={SMOKE}", f"--workdir={folder}", *flags]) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Work:
    """The work folder of a whole run; not to be changed."""
    folder = tmp_path_factory.mktemp("stages") / "run"
    run(folder)
    return Work(folder)


@pytest.fixture
def copy(finished, tmp_path) -> Work:
    """A copy of it, to be changed."""
    shutil.copytree(finished.path, tmp_path / "copy")
    return Work(tmp_path / "copy")


def make_config(work: Work, **changes) -> ConfigDict:
    """The settings of the run, with changes to dotted names (`__` in place of the dot)."""
    config = ConfigDict(json.loads(work.config.read_text()))
    with config.unlocked():
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    for section in (config.masks, config.translate, config.segment, config.classify, config.measure):
        section.tile_px = tuple(section.tile_px)
    return config


def run_alone(name: str, work: Work, **changes) -> dict:
    """Runs one stage anew on the artifacts of the others; returns its summary."""
    shutil.rmtree(work.stage(name))
    work.stage(name).mkdir()
    return import_module(f"semjax.stages.{name}").run(make_config(work, **changes), work)


def files(work: Work) -> dict[str, Path]:
    return {str(p.relative_to(work.path)): p for p in work.path.rglob("*") if p.is_file()}


def artifacts(work: Work) -> dict[str, bytes]:
    """What the stages made, without book-keeping, checkpoints and log."""
    return {
        name: path.read_bytes()
        for name, path in files(work).items()
        if "/" in name and path.name not in BOOK_KEEPING and "checkpoints" not in path.parts
    }


def test_every_artifact_is_there(finished):
    pictures = [f"phantom_{i:03d}" for i in range(3)]
    expected = ["config.json", "report.html", "log.txt", "inputs/truth.csv"]
    expected += [f"inputs/{kind}/{name}.tif" for kind in ("images", "truth") for name in pictures]
    expected += [f"1_shapes/{name}" for name in ("outlines.npz", "outlines.png", "given.png")]
    expected += [f"2_masks/{name}.tif" for name in ("labels", "masks", "domes")]
    expected += ["2_masks/particles.csv", "2_masks/masks.png", "3_translate/fakes.tif"]
    expected += [f"3_translate/gan_masks/{name}.tif" for name in pictures]
    models = ["3_translate/model/to_image", "3_translate/model/to_mask"]
    models += ["5_segment/model", "6_classify/model"]
    expected += [f"{model}/{name}" for model in models for name in ("config.json", "variables.npz")]
    expected += [f"4_filter/{name}" for name in ("labels.tif", "masks.tif", "particles.csv")]
    expected += ["4_filter/summary.json", "4_filter/sample.png", "5_segment/threshold.json"]
    expected += [f"7_measure/labels/{name}.tif" for name in pictures]
    expected += [f"7_measure/overlays/{name}.png" for name in pictures]
    expected += [f"7_measure/{name}.csv" for name in ("particles", "images")]
    expected += ["7_measure/distribution.json", "7_measure/histogram_min_feret.png"]
    expected += ["8_score/scores.json", "8_score/scores.csv"]
    stages = [f"{i}_{name}" for i, name in enumerate(workdir.STAGES, start=1)]
    expected += [f"{stage}/done.json" for stage in stages]
    for trained in ("1_shapes", "3_translate", "5_segment", "6_classify"):
        expected.append(f"{trained}/metrics.jsonl")
        assert list((finished.path / trained / "checkpoints").iterdir())
        assert list((finished.path / trained / "samples").glob("*.png"))
    found = files(finished)
    assert not [name for name in expected if name not in found]
    assert not [name for name in found if name.endswith((".part", "started.json"))]
    assert all(path.stat().st_size for name, path in found.items() if name != ".lock")


def test_masks_labels_and_tables_belong_together(finished):
    for stage in (finished.masks, finished.filter):
        labels, flat = stacks.read(stage / "labels.tif"), stacks.read(stage / "masks.tif")
        assert labels.shape == flat.shape == (N_MASKS, *TILE_PX)
        assert labels.dtype == np.uint16 and flat.dtype == np.uint8
        assert set(np.unique(flat)) == {0, 255}
        assert not flat[labels == 0].any()
        particles = pd.read_csv(stage / "particles.csv")
        assert 0 < len(particles)
        for i, mask in enumerate(labels):
            rows = particles[particles["mask"] == i]
            area = np.bincount(mask.ravel())
            assert sorted(rows["label"]) == list(np.flatnonzero(area[1:]) + 1)
            if stage == finished.masks:
                assert np.array_equal(area[rows["label"]], rows["visible_area_px"])
            pieces, n = ndimage.label(flat[i])
            pairs = np.unique(np.stack([pieces, mask])[:, pieces > 0], axis=1)
            assert pairs.shape[1] == n  # separating lines keep particles apart
    domes, fakes = stacks.read(finished.masks / "domes.tif"), stacks.read(finished.fakes)
    assert domes.shape == fakes.shape == (N_MASKS, *TILE_PX)
    assert domes.dtype == fakes.dtype == np.uint8
    with np.load(finished.outlines) as stored:
        assert stored["outlines"].shape == (16, 64, 64)
        assert set(np.unique(stored["outlines"])) == {0, 1}


def test_the_filter_takes_particles_away_and_renumbers_the_rest(finished):
    before, after = stacks.read(finished.mask_labels), stacks.read(finished.filtered_labels)
    table, kept = (pd.read_csv(s / "particles.csv") for s in (finished.masks, finished.filter))
    assert ((after > 0) <= (before > 0)).all()
    assert 0 < len(kept) <= len(table)
    summary = workdir.read_json(finished.filter / "summary.json")
    assert summary["removed share"] == pytest.approx(1 - len(kept) / len(table))
    centres = ["mask", "row", "col", "whole_area_px"]
    assert len(kept.merge(table, on=centres)) >= len(kept)  # the same particles, new labels
    for _, row in kept.iterrows():
        old = before[int(row["mask"])][after[int(row["mask"])] == row["label"]]
        assert np.unique(old).size == 1


def test_measured_labels_and_particles_belong_together(finished):
    particles, rows = pd.read_csv(finished.particles), pd.read_csv(finished.images)
    assert list(rows["image"]) == [f"phantom_{i:03d}" for i in range(3)]
    assert len(particles) > 5 and particles["kept"].any()
    for _, row in rows.iterrows():
        labels = tifffile.imread(finished.labels / f"{row['image']}.tif")
        assert labels.shape == (160, 160) and labels.dtype == np.uint16
        table = particles[particles["image"] == row["image"]]
        area = np.bincount(labels.ravel(), minlength=1)[1:]
        assert list(table["label"]) == list(range(1, area.size + 1))
        assert np.array_equal(table["area_px"], area)
        assert area.size == 0 or area.min() >= 9
        assert row["particles"] == len(table) and row["kept"] == table["kept"].sum()
        assert row["foreground_fraction"] == pytest.approx((labels > 0).mean(), abs=1e-5)
    np.testing.assert_allclose(particles["area_nm2"], 25.0 * particles["area_px"])
    why = particles["reason"].fillna("")
    assert np.array_equal(particles["kept"], why == "")
    assert set(why[particles["border"]]) == {"touches the border"}
    distribution = workdir.read_json(finished.distribution)
    assert distribution["unit"] == "nm"
    kept = particles[particles["kept"]]
    assert distribution["min_feret"]["n"] == len(kept)
    assert distribution["min_feret"]["mean"] == pytest.approx(kept["min_feret_nm"].mean())


def test_scores_compare_with_the_truth(finished):
    table = workdir.read_json(finished.scores)
    assert set(table) == {"semjax", "CycleGAN alone", "blur, Li, watershed"}
    overlap = []
    for name in ("phantom_000", "phantom_001", "phantom_002"):
        truth = tifffile.imread(finished.input_truth / f"{name}.tif") > 0
        found = tifffile.imread(finished.labels / f"{name}.tif") > 0
        overlap.append((truth & found).sum() / (truth | found).sum())
    # Specks are dropped from both sides before.
    assert table["semjax"]["image_iou"] == pytest.approx(np.mean(overlap), abs=0.01)
    assert table["semjax"]["image_iou"] > 0.5
    assert all(row["n_images"] == 3 for row in table.values())
    assert len(pd.read_csv(finished.score / "scores.csv")) == 9


def test_a_second_run_writes_nothing(copy):
    before = {name: (path.stat().st_mtime_ns, path.read_bytes()) for name, path in files(copy).items()}
    run(copy.path)
    after = {name: (path.stat().st_mtime_ns, path.read_bytes()) for name, path in files(copy).items()}
    log = after.pop("log.txt")[1].decode()
    before.pop("log.txt")
    before.pop(".lock"), after.pop(".lock")
    assert after == before
    assert log.count("done, skipped") == len(workdir.STAGES)


def test_a_stage_without_its_mark_is_made_again_to_the_same_bytes(copy):
    before = artifacts(copy)
    times = {name: path.stat().st_mtime_ns for name, path in files(copy).items()}
    (copy.translate / "done.json").unlink()
    run(copy.path)
    after = artifacts(copy)
    assert after.keys() == before.keys()
    assert not [name for name in before if after[name] != before[name]]
    rewritten = {
        name.split("/")[0]
        for name, path in files(copy).items()
        if "/" in name and path.stat().st_mtime_ns != times.get(name)
    }
    assert rewritten == {"3_translate", "4_filter", "5_segment", "6_classify", "7_measure", "8_score"}


def test_an_interrupted_training_ends_with_the_same_model(copy, monkeypatch):
    expected = artifacts(copy)
    (copy.segment / "done.json").unlink()
    steps = []

    def save(checkpoints, step, state, batches):
        steps.append(step)
        real(checkpoints, step, state, batches)
        raise KeyboardInterrupt

    from semjax.checkpoints import Checkpoints

    real = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        assert main.main([f"--config={SMOKE}", f"--workdir={copy.path}"]) == 130
    assert steps == [4]
    assert not (copy.segment / "model").exists()
    run(copy.path)
    assert "was interrupted, goes on" in copy.log.read_text()
    assert not [name for name, content in artifacts(copy).items() if expected[name] != content]


# --- the alternatives of each stage


@pytest.mark.parametrize("method", ["polygons", "given"])
def test_outlines_need_no_training(method, copy):
    summary = run_alone("shapes", copy, shapes__method=method, shapes__n_outlines=30)
    with np.load(copy.outlines) as stored:
        drawn = stored["outlines"]
    assert drawn.shape == (30, 64, 64) and drawn.dtype == np.uint8
    assert summary["drawn"] == 30 and not (copy.shapes / "checkpoints").exists()
    if method == "given":
        given = {images.read_image(p).astype(bool).sum() for p in copy.input_outlines.iterdir()}
        assert set(drawn.sum(axis=(1, 2))) <= given
    else:
        ratio = summary["mean area drawn (px)"] / summary["mean area given (px)"]
        assert 0.5 < ratio < 1.5


def test_masks_by_count(copy):
    summary = run_alone(
        "masks",
        copy,
        masks__density="count",
        masks__n_particles=(3, 5),
        masks__size="none",
        masks__placement="uniform",
    )
    assert summary["foreground wanted"] is None
    counts = pd.read_csv(copy.mask_particles)["mask"].value_counts()
    assert len(counts) == N_MASKS
    assert counts.max() <= 5 and counts.mean() > 2


def test_masks_on_a_hexagonal_grid(copy):
    run_alone(
        "masks",
        copy,
        masks__grid="hexagonal",
        masks__grid_spacing=0.5,
        masks__grid_jitter=0.0,
        masks__placement="uniform",
        masks__density="count",
        masks__n_particles=(400, 400),
        masks__size="uniform",
        masks__size_range=(0.4, 0.4),
    )
    particles = pd.read_csv(copy.mask_particles)
    for _, mask in particles.groupby("mask"):
        centres = mask[["row", "col"]].to_numpy()
        apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
        nearest = np.where(apart > 0, apart, np.inf).min(axis=1)
        np.testing.assert_allclose(nearest, 32.0, atol=0.1)  # half an outline's square


def grid_positions():
    return 3 * len(range(0, 160 - 64 + 1, 8)) ** 2


@pytest.mark.parametrize("tiles", ["all", "brightness"])
def test_the_generator_may_see_flat_masks_and_other_tiles(tiles, copy):
    summary = run_alone(
        "translate",
        copy,
        translate__mask_input="flat",
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
    model = predict.load(copy.translate_model / "to_image")
    assert model.settings["mask_input"] == "flat"
    masks = stacks.read(copy.mask_flat).astype(np.float32) / 127.5 - 1.0
    painted = predict.run_batches(model, masks[..., None], batch_size=4, sigmoid=False)[..., 0]
    fakes = stacks.read(copy.fakes).astype(np.float32) / 127.5 - 1.0
    np.testing.assert_allclose(fakes, painted, atol=1.01 / 255)


def test_a_filter_of_none_keeps_every_particle(copy):
    stacks.write(copy.fakes, 255 - stacks.read(copy.fakes))  # particles dark: none is shown
    with pytest.raises(ValueError, match="show none of the particles"):
        run_alone("filter", copy)
    summary = run_alone("filter", copy, filter__threshold="none")
    assert summary["removed share"] == 0
    table, kept = pd.read_csv(copy.mask_particles), pd.read_csv(copy.filtered_particles)
    assert len(kept) == len(table)
    before, after = stacks.read(copy.mask_labels), stacks.read(copy.filtered_labels)
    assert np.array_equal(after > 0, before > 0)


def test_a_segmenter_of_masks_is_split_by_a_watershed(copy):
    changes = {"segment__target": "mask", "measure__split": "watershed"}
    summary = run_alone("segment", copy, **changes)
    assert summary["pairs"] == N_MASKS
    model = predict.load(copy.segment_model)
    assert model.settings["network_kwargs"]["outputs"] == 1
    assert model.settings["split"] == "watershed"
    tried = workdir.read_json(copy.threshold)["tried"]
    assert [row["threshold"] for row in tried] == list(segment_stage.THRESHOLDS)
    run_alone("classify", copy, **changes)
    run_alone("measure", copy, **changes)
    assert pd.read_csv(copy.particles)["kept"].any()


def test_a_segmenter_may_learn_from_given_masks(copy):
    shutil.rmtree(copy.translate)  # not needed
    shutil.rmtree(copy.filter)
    summary = run_alone("segment", copy, segment__pairs="manual")
    assert summary["pairs"] == 3
    assert predict.load(copy.segment_model).settings["network_kwargs"]["outputs"] == 3


def test_a_workflow_in_pixels_without_truth(copy, tmp_path):
    """Images of one's own: a folder, no pixel size, no truth."""
    config = make_config(copy)
    (tmp_path / "mine").mkdir()
    for path in copy.input_images.iterdir():
        tifffile.imwrite(tmp_path / "mine" / path.name, images.read_image(path))
    config.data.source, config.data.images = "folder", str(tmp_path / "mine")
    config.data.outlines = str(copy.input_outlines)
    measure, score = (import_module(f"semjax.stages.{name}") for name in ("measure", "score"))
    summary = measure.run(config, copy)
    assert "mean min Feret (px)" in summary
    assert workdir.read_json(copy.distribution)["unit"] == "px"
    assert "min_feret_px" in pd.read_csv(copy.particles)
    assert "skipped" in score.run(config, copy)
