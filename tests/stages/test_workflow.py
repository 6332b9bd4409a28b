"""The whole workflow: its artifacts, that they belong together, and what a second run does.

`launch.py --config=configs/smoke.py` runs the same with the real networks.
"""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from semjax import stacks, workdir
from semjax.checkpoints import Checkpoints

N_MASKS, TILE_PX = 12, (64, 64)


def test_every_artifact_is_there(finished):
    pictures = [f"phantom_{i:03d}" for i in range(3)]
    expected = ["config.json", "report.html", "log.txt", "inputs/truth.csv"]
    expected += [f"inputs/{kind}/{name}.tif" for kind in ("images", "truth") for name in pictures]
    expected += [f"1_shapes/{name}" for name in ("outlines.npz", "outlines.png", "given.png")]
    expected += [f"2_masks/{name}.tif" for name in ("labels", "masks", "reliefs")]
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
    expected += [f"7_measure/probability/{name}.tif" for name in pictures]
    expected += [f"8_score/{name}" for name in ("scores.json", "scores.csv", "kept.csv")]
    expected += ["8_score/sizes.csv"]
    stages = [f"{i}_{name}" for i, name in enumerate(workdir.STAGES, start=1)]
    expected += [f"{stage}/done.json" for stage in stages]
    for trained in ("1_shapes", "3_translate", "5_segment", "6_classify"):
        expected.append(f"{trained}/metrics.jsonl")
        assert list((finished.path / trained / "checkpoints").iterdir())
        assert list((finished.path / trained / "samples").glob("*.png"))
    found = finished.files()
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
    reliefs = stacks.read(finished.masks / "reliefs.tif")
    fakes = stacks.read(finished.translate / "fakes.tif")
    assert reliefs.shape == fakes.shape == (N_MASKS, *TILE_PX)
    assert reliefs.dtype == fakes.dtype == np.uint8
    with np.load(finished.outlines) as stored:
        assert stored["outlines"].shape == (16, 64, 64)
        assert set(np.unique(stored["outlines"])) == {0, 1}
        diameters = np.sqrt(4 / np.pi * stored["outlines"].sum(axis=(1, 2)))
    # Discs by settled statistics; by those of a few steps all of them are 38 px wide.
    assert diameters.mean() == pytest.approx(32, abs=2)
    assert diameters.std() > 2


def test_the_filter_takes_particles_away_and_renumbers_the_rest(finished):
    before, after = (stacks.read(s / "labels.tif") for s in (finished.masks, finished.filter))
    table, kept = (pd.read_csv(s / "particles.csv") for s in (finished.masks, finished.filter))
    near = [ndimage.binary_dilation(mask > 0, iterations=3) for mask in before]
    assert ((after > 0) <= near).all()  # edges may be moved by up to 2.5 px
    assert 0 < len(kept) <= len(table)
    summary = workdir.read_json(finished.filter / "summary.json")
    assert summary["removed share"] == pytest.approx(1 - len(kept) / len(table))
    for row in kept.itertuples():
        inside = before[row.mask][after[row.mask] == row.label]
        old = np.bincount(inside[inside > 0]).argmax()
        (was,) = table[(table["mask"] == row.mask) & (table["label"] == old)].itertuples()
        assert (row.row, row.col, row.whole_area_px) == (was.row, was.col, was.whole_area_px)


def test_measured_labels_and_particles_belong_together(finished):
    particles = pd.read_csv(finished.measure / "particles.csv")
    rows = pd.read_csv(finished.measure / "images.csv")
    assert list(rows["image"]) == [f"phantom_{i:03d}" for i in range(3)]
    assert len(particles) > 5 and particles["kept"].any()
    for _, row in rows.iterrows():
        labels = tifffile.imread(finished.measure / "labels" / f"{row['image']}.tif")
        assert labels.shape == (160, 160) and labels.dtype == np.uint16
        table = particles[particles["image"] == row["image"]]
        area = np.bincount(labels.ravel(), minlength=1)[1:]
        assert list(table["label"]) == list(range(1, area.size + 1))
        assert np.array_equal(table["area_px"], area)
        assert area.size == 0 or area.min() >= 9
        assert row["particles"] == len(table) and row["kept"] == table["kept"].sum()
        assert row["foreground_fraction"] == pytest.approx((labels > 0).mean(), abs=1e-5)
        assert 0.3 < row["agreement"] <= 1 and 0 <= row["ghost_share"] < 0.5
    np.testing.assert_allclose(particles["area_nm2"], 25.0 * particles["area_px"])
    why = particles["reason"].fillna("")
    assert np.array_equal(particles["kept"], why == "")
    assert set(why[particles["border"]]) == {"touches the border"}
    distribution = workdir.read_json(finished.measure / "distribution.json")
    assert np.array_equal(particles["border_weight"] == 0, particles["border"])
    assert distribution["unit"] == "nm" and distribution["border"] == "drop"
    kept = particles[particles["kept"]]
    assert distribution["min_feret"]["n"] == len(kept)
    assert distribution["min_feret"]["mean"] == pytest.approx(kept["min_feret_nm"].mean())


def test_scores_compare_with_the_truth(finished):
    table = workdir.read_json(finished.score / "scores.json")
    assert set(table) == {"semjax", "CycleGAN alone", "blur, Li, watershed"}
    overlap = []
    for name in ("phantom_000", "phantom_001", "phantom_002"):
        truth = tifffile.imread(finished.inputs / "truth" / f"{name}.tif") > 0
        found = tifffile.imread(finished.measure / "labels" / f"{name}.tif") > 0
        overlap.append((truth & found).sum() / (truth | found).sum())
    # Specks are dropped from both sides before.
    assert table["semjax"]["image_iou"] == pytest.approx(np.mean(overlap), abs=0.01)
    assert table["semjax"]["image_iou"] > 0.5
    assert all(row["n_images"] == 3 for row in table.values())
    assert len(pd.read_csv(finished.score / "scores.csv")) == 9


def test_kept_particles_compare_with_the_truth(finished):
    kept = pd.read_csv(finished.score / "kept.csv").set_index(["method", "choice"])
    truth = pd.read_csv(finished.inputs / "truth.csv")
    n_good = ((truth["visible_fraction"] >= 0.85) & ~truth["touches_border"]).sum()
    assert (kept["tp"] + kept["fn"] == n_good).all()  # the same good ones for every method
    everything = kept.loc[("truth's own masks", "everything")]
    assert everything["recall"] == 1 and everything["precision"] < 1
    choices = {choice for method, choice in kept.index if method == "semjax"}
    assert choices == {"everything", "fixed rule", "classifier", "truth's verdicts"}
    particles = pd.read_csv(finished.measure / "particles.csv")
    sizes = pd.read_csv(finished.score / "sizes.csv").set_index(["method", "choice", "quantity"])
    row = sizes.loc[("semjax", "classifier", "min_feret_nm")]
    own = particles[particles["kept"]]["min_feret_nm"]
    assert row["n_found"] == len(own) and row["mean"] == pytest.approx(own.mean(), rel=1e-4)
    assert row["mean_error"] == pytest.approx(row["mean"] / row["mean_true"] - 1, abs=1e-4)
    on_truth = sizes.loc[("truth's own masks", "everything", "min_feret_nm")]
    assert on_truth["n_true"] == n_good


def test_the_others_are_scored_only_if_wanted(copy):
    copy.run_alone("score", score__beside=False)
    assert set(workdir.read_json(copy.score / "scores.json")) == {"semjax"}
    methods = set(pd.read_csv(copy.score / "kept.csv")["method"])
    assert methods == {"semjax", "truth's own masks"}


def test_the_papers_scores_are_there_when_asked_for(copy):
    copy.run_alone("score", score__legacy=True)
    rows = pd.read_csv(copy.score / "legacy.csv").set_index("method")
    assert set(rows.index) == {"semjax", "CycleGAN alone", "blur, Li, watershed"}
    assert rows["image_iou"].between(0.2, 1).all() and rows["warping_error"].between(0, 0.1).all()


def test_a_second_run_writes_nothing(copy):
    def look():
        kept = {name: p for name, p in copy.files().items() if name not in ("log.txt", ".lock")}
        return {name: (p.stat().st_mtime_ns, p.read_bytes()) for name, p in kept.items()}

    before = look()
    assert copy.start() == 0
    assert look() == before
    assert copy.log.read_text().count("done, skipped") == len(workdir.STAGES)


def test_a_stage_without_its_mark_is_made_again_to_the_same_bytes(copy):
    before = copy.artifacts()
    times = {name: path.stat().st_mtime_ns for name, path in copy.files().items()}
    (copy.translate / "done.json").unlink()
    assert copy.start() == 0
    after = copy.artifacts()
    assert after.keys() == before.keys()
    assert not [name for name in before if after[name] != before[name]]
    after = {name: path.stat().st_mtime_ns for name, path in copy.files().items()}
    rewritten = {name[:2] for name in after if "/" in name and after[name] != times.get(name)}
    assert rewritten == {"3_", "4_", "5_", "6_", "7_", "8_", "mo"}


def test_an_interrupted_training_ends_with_the_same_model(copy, monkeypatch):
    expected = copy.artifacts()
    (copy.segment / "done.json").unlink()
    steps = []

    def save(checkpoints, step, state, batches):
        steps.append(step)
        real(checkpoints, step, state, batches)
        raise KeyboardInterrupt

    real = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        assert copy.start() == 130
    assert steps == [4]
    assert not (copy.segment / "model").exists()
    assert copy.start() == 0
    assert "was interrupted, goes on" in copy.log.read_text()
    assert not [name for name, content in copy.artifacts().items() if expected[name] != content]
