"""The audit: the interval, the sample, its pictures and page, a person's answers, the command."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.stats import norm

from semjax import audit, main, models, phantom, settings
from semjax.analysis import regions
from semjax.report import audit as page
from semjax.report import figures
from semjax.workdir import Work, write_json

ROOT = Path(__file__).parents[1]
SPECK = 3  # side in px


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A work folder as after `measure`, whose labels are the phantom's truth and one speck."""
    work = Work(tmp_path_factory.mktemp("audit") / "run")
    config = settings.get_config()
    config.name, config.data.source = "glass & 'beads'", "phantom"
    phantom.write_inputs(
        work.inputs, seed=1, n_images=3, n_outlines=1, image_px=(160, 200), pixel_size_nm=5.0
    )
    (work.measure / "labels").mkdir(parents=True)
    tables = []
    for path in sorted((work.inputs / "truth").iterdir()):
        labels = tifffile.imread(path)
        labels[:SPECK, 1 : 1 + SPECK] = labels.max() + 1
        tifffile.imwrite(work.measure / "labels" / path.name, labels, compression="zlib")
        table = regions.measure(labels, pixel_size_nm=5.0)
        table.insert(0, "image", path.stem)
        table["kept"] = ~table["border"] | (table["label"] == labels.max())
        tables.append(table)
    pd.concat(tables).to_csv(work.measure / "particles.csv", index=False)
    write_json(work.measure / "done.json", {"stage": "measure", "id": "20260101T000000.000001"})
    write_json(work.config, config.to_dict())
    return work


@pytest.fixture
def work(measured, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(measured.path, tmp_path / "run")
    return Work(tmp_path / "run")


def change(work, function):
    """Passes the table of particles through a function."""
    path = work.measure / "particles.csv"
    function(pd.read_csv(path)).to_csv(path, index=False)


def answer(work, *verdicts, n=30, name="answers.csv", **columns):
    """A file of answers, for the first particles of a sample."""
    sample = audit.draw(work, n)[["image", "label"]].head(len(verdicts))
    path = work.path.parent / name
    sample.assign(verdict=list(verdicts), **columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_wilson_solves_its_equation(confidence):
    """The ends are the shares from which the one found lies z standard errors away."""
    for judged in [1, 2, 7, 30, 200]:
        for accepted in {0, 1, judged // 2, judged - 1, judged}:
            share = accepted / judged
            low, high = audit.wilson(accepted, judged, confidence)
            assert 0 <= low <= share <= high <= 1
            for end in {low, high} - {share}:
                z = abs(share - end) / np.sqrt(end * (1 - end) / judged)
                assert z == pytest.approx(norm.ppf((1 + confidence) / 2), rel=1e-6)


def test_wilson_of_nothing_is_everything():
    assert audit.wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(
    "numbers", [(-1, 3), (4, 3), (0.5, 3), (1, 2.5), (0, -1), (float("nan"), 3), (1, float("inf"))]
)
def test_wilson_refuses_impossible_numbers(numbers):
    with pytest.raises(ValueError, match="expected whole numbers"):
        audit.wilson(*numbers)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_wilson_refuses_impossible_confidence(confidence):
    with pytest.raises(ValueError, match="confidence is"):
        audit.wilson(1, 2, confidence)


def test_the_sample_is_of_kept_particles_each_once(measured):
    sample = audit.draw(measured, n=10)
    assert len(sample) == 10 and sample["kept"].all()
    assert not sample.duplicated(["image", "label"]).any()
    assert sample["image"].nunique() > 1


def test_the_seed_decides_and_a_larger_sample_goes_on(measured):
    sample = audit.draw(measured, n=8, seed=3)
    pd.testing.assert_frame_equal(sample, audit.draw(measured, n=8, seed=3))
    pd.testing.assert_frame_equal(sample, audit.draw(measured, n=12, seed=3).head(8))
    assert not sample.equals(audit.draw(measured, n=8, seed=4))


def test_all_particles_have_the_same_chance(work):
    change(work, lambda table: table[table["kept"]].head(5))
    first = pd.Series([audit.draw(work, 1, seed)["area_px"][0] for seed in range(200)])
    counts = first.value_counts()
    assert len(counts) == 5 and counts.min() > 20


def test_few_particles_are_all_drawn(work):
    change(work, lambda table: table[table["kept"]].head(4))
    assert sorted(audit.draw(work)["label"]) == sorted(pd.read_csv(kept_of(work))["label"])


def kept_of(work):
    return work.measure / "particles.csv"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda work: shutil.rmtree(work.measure), "there is none; run the workflow"),
        (lambda work: (work.measure / "done.json").unlink(), "an unfinished one"),
        (lambda work: change(work, lambda t: t.assign(kept=False)), "none of its [0-9]+ is"),
        (lambda work: change(work, lambda t: t.head(0)), "none of its 0 is"),
        (lambda work: change(work, lambda t: t.drop(columns="kept")), "lacks the columns kept"),
    ],
)
def test_no_measured_particles_is_said(work, spoil, words):
    spoil(work)
    with pytest.raises(ValueError, match=words):
        audit.draw(work)


@pytest.mark.parametrize("values", [(0, 0), (5, -1)])
def test_draw_refuses_impossible_numbers(measured, values):
    with pytest.raises(ValueError, match="expected n of at least 1"):
        audit.draw(measured, *values)


def test_pictures_are_alike_and_show_one_outline(measured):
    sample = audit.draw(measured, n=1000)  # all, with the specks and those near the border
    shown = audit.pictures(audit.read_config(measured), measured, sample)
    assert len(shown) == len(sample)
    for picture in shown:
        assert picture.shape == (page.SIDE_PX, 2 * page.SIDE_PX + 4, 3)
        assert picture.dtype == np.uint8
        left, right = picture[:, : page.SIDE_PX], picture[:, -page.SIDE_PX :]
        assert (left == left[..., :1]).all(), "no colour on the micrograph itself"
        rim = (right == figures.KEPT).all(axis=-1)
        rows, cols = np.nonzero(rim)
        assert (left[~rim] == right[~rim]).all()
        middle = [(line.min() + line.max() + 1) / 2 for line in (rows, cols)]
        np.testing.assert_allclose(middle, page.SIDE_PX / 2, atol=16)
        extent = max(np.ptp(rows), np.ptp(cols)) + 1
        assert page.SIDE_PX / 9 < extent <= page.SIDE_PX / page.FIELD


def test_dark_particles_are_dark(work):
    config = audit.read_config(work)
    sample = audit.draw(work, 1)
    before = audit.pictures(config, work, sample)[0]
    image = work.inputs / "images" / f"{sample['image'][0]}.tif"
    tifffile.imwrite(image, 255 - tifffile.imread(image))
    config.data.dark_particles = True
    after = audit.pictures(config, work, sample)[0]
    side = page.SIDE_PX
    same = before[:, :side].astype(int) + after[:, :side] - 255
    assert np.abs(same).max() <= 1


def test_images_that_changed_since_are_refused(work):
    config, sample = audit.read_config(work), audit.draw(work)
    image = work.inputs / "images" / f"{sample['image'][0]}.tif"
    as_measured = models.checksum(image)
    write_json(work.measure / "measured.json", {"images": {image.stem: {"sha256": as_measured}}})
    assert len(audit.pictures(config, work, sample)) == len(sample)
    tifffile.imwrite(image, tifffile.imread(image)[::-1])
    with pytest.raises(ValueError, match="has changed; put back"):
        audit.pictures(config, work, sample)
    tifffile.imwrite(image, tifffile.imread(image)[:-5])
    with pytest.raises(ValueError, match=r"has \(155, 200\) pixels; put back"):
        audit.pictures(config, work, sample)
    image.unlink()
    with pytest.raises(ValueError, match="is not there; put back"):
        audit.pictures(config, work, sample)
    with pytest.raises(ValueError, match="has no particle 9999"):
        audit.pictures(config, work, sample[1:].assign(label=9999))
    config.data.source, config.data.images = "folder", "my/images"
    with pytest.raises(FileNotFoundError, match="start from the same folder as the run"):
        audit.pictures(config, work, sample)


class Document(HTMLParser):
    """Collects the elements of a page, and what it refers to."""

    def __init__(self, html):
        super().__init__()
        self.cards, self.sources, self.tags = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.cards += [(attrs["data-image"], int(attrs["data-label"]))] if tag == "article" else []
        self.sources += [attrs[name] for name in ("src", "href", "srcset") if name in attrs]


def test_the_page_holds_all_particles_and_needs_nothing_else(work):
    path = audit.write_page(work, n=12, seed=2)
    text = path.read_text(encoding="utf-8")
    found = Document(text)
    sample = audit.draw(work, 12, 2)
    assert found.cards == list(zip(sample["image"], sample["label"], strict=True))
    assert len(found.sources) == found.tags.count("img") == 12
    assert all(source.startswith("data:image/") for source in found.sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "link" not in found.tags and found.tags.count("script") == 1
    assert "Audit of glass &amp; &#x27;beads&#x27;" in text
    assert len(re.findall("Feret [0-9.,]+ × [0-9.,]+ nm", text)) == 12


def test_the_list_beside_the_page_is_empty_answers(work):
    listed = audit.write_page(work, n=5).with_name("sample.csv")
    table = pd.read_csv(listed)
    assert list(table.columns[:3]) == ["image", "label", "verdict"]
    assert len(table) == 5 and table["verdict"].isna().all()
    assert audit.judge(work, listed)["judged"] == 0


def test_what_a_person_made_is_never_overwritten(work):
    listed = audit.write_page(work, n=5).with_name("sample.csv")
    answers = listed.with_name("answers.csv")
    answers.write_text("mine")
    audit.write_page(work, n=6)
    assert answers.read_text() == "mine" and len(pd.read_csv(listed)) == 6
    pd.read_csv(listed).assign(verdict="accept").to_csv(listed, index=False)
    before = listed.read_bytes()
    with pytest.raises(ValueError, match="holds verdicts, which a new sample would overwrite"):
        audit.write_page(work)
    assert listed.read_bytes() == before


def test_answers_are_counted(work):
    run = "20260101T000000.000001"
    answers = answer(work, "accept", "reject", " Accept", "", "accept", run=run, seed=4)
    found = audit.judge(work, answers)
    assert found == json.loads((work.path / "audit" / "audit.json").read_text())
    assert (found["judged"], found["accepted"], found["precision"]) == (4, 3, 0.75)
    assert found["interval"] == list(audit.wilson(3, 4))
    assert (found["run"], found["seed"]) == (run, 4)
    assert found["kept"] == len(audit.draw(work, 10_000))


def test_answers_need_three_columns_only_and_may_come_from_a_spreadsheet(work):
    plain = audit.judge(work, answer(work, "accept", "reject"))
    assert (plain["judged"], plain["accepted"], plain["seed"]) == (2, 1, None)
    text = answer(work, "accept", "reject").read_text().replace(",", ";").replace("\n", "\r\n")
    saved = work.path / "saved.csv"
    saved.write_text(text + "\r\n", encoding="utf-8-sig", newline="")
    assert audit.judge(work, saved)["interval"] == plain["interval"]


def test_names_of_digits_stay_names(work):
    for folder in (work.inputs / "images", work.measure / "labels"):
        for i, path in enumerate(sorted(folder.iterdir())):
            path.rename(path.with_name(f"00{i}.tif"))
    change(work, lambda t: t.assign(image=t["image"].str.replace("phantom_", "")))
    sample = audit.write_page(work).with_name("sample.csv")
    text = sample.read_text().replace(",,", ",accept,")
    sample.with_name("answers.csv").write_text(text)
    found = audit.judge(work, sample.with_name("answers.csv"))
    assert found["accepted"] == found["judged"] == len(text.splitlines()) - 1


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.replace("accept", "yes"), "line 2: unknown verdict 'yes'; write accept"),
        (lambda t: t.replace("label", "number"), "line 1: expected the columns image, label"),
        (lambda t: "", "there are none"),
        (lambda t: t + t.splitlines()[1] + "\n", "line 4: particle [0-9]+ of phantom_.* before"),
        (lambda t: t.replace("phantom_00", "other_"), "line 2: .* no measured particle .*other_"),
        (lambda t: t + "phantom_000,9999,accept\n", "line 4: .* no measured particle '9999'"),
        (lambda t: t + "phantom_000,a few,accept\n", "line 4: .* no measured particle 'a few'"),
        (lambda t: t + "phantom_000\n", "line 4: .* no measured particle ''"),
        (lambda t: t + 'phantom_000,"\0', "line 4|no table of answers"),
        (
            lambda t: "image,label,verdict,run\n" + t.splitlines()[1] + ",20250101T000000.000000",
            "line 2: the answer is for the measurement 20250101",
        ),
    ],
)
def test_wrong_answers_are_refused_with_their_place(work, edit, words):
    path = answer(work, "accept", "reject")
    path.write_text(edit(path.read_text()))
    with pytest.raises(ValueError, match=words) as caught:
        audit.judge(work, path)
    assert str(path) in str(caught.value)
    assert not (work.path / "audit").exists()


def test_answers_on_a_particle_that_is_not_kept_are_refused(work):
    table = pd.read_csv(kept_of(work))
    left_out = table[~table["kept"]].head(1)[["image", "label"]].assign(verdict="accept")
    left_out.to_csv(work.path / "answers.csv", index=False)
    with pytest.raises(ValueError, match="line 2: .* no measured particle"):
        audit.judge(work, work.path / "answers.csv")


def test_a_file_that_is_no_table_is_refused(work):
    path = work.path / "answers.csv"
    path.write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(ValueError, match="answers.csv is no table of answers"):
        audit.judge(work, path)


def test_the_command_writes_the_page_and_counts(work, capsys):
    assert main.console(["audit", str(work.path), "--n=5", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert str(work.path / "audit" / "audit.html") in out and "--answers=" in out
    listed = work.path / "audit" / "sample.csv"
    answers = listed.with_name("answers.csv")
    answers.write_text(listed.read_text().replace(",,", ",accept,", 5))
    assert main.console(["audit", f"--answers={answers}", str(work.path)]) == 0
    assert capsys.readouterr().out == "5 of 5 accepted: 1.00 (95 % interval 0.57 to 1.00)\n"
    assert main.console(["audit", str(work.path), f"--answers={listed}"]) == 0
    assert "0 of 0 accepted: nothing judged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, "the work folder is missing"),
        (["a", "b"], 2, "expected one work folder, got a and b"),
        (["a", "--n=0"], 2, "--n=0"),
        (["a", "--n=some"], 2, "--n=some"),
        (["a", "--seed=-1"], 2, "--seed=-1"),
        (["a", "--answer=x"], 2, "answer"),
        (["nowhere"], 1, "expected a work folder"),
        (["nowhere", "--answers=x.csv"], 1, "expected a finished measurement"),
        (["gs://bucket/x"], 1, "is an address"),
    ],
)
def test_a_wrong_command_is_one_message(capsys, flags, code, words):
    assert main.console(["audit", *flags]) == code
    message = capsys.readouterr().err
    assert words in message
    assert message.startswith("error: ") and "Traceback" not in message


def test_missing_answers_are_one_message(measured, capsys):
    assert main.console(["audit", str(measured.path), "--answers=nowhere.csv"]) == 1
    assert "error: no answers nowhere.csv; save them" in capsys.readouterr().err


def test_help(capsys):
    assert main.console(["audit", "--help"]) == 0
    assert "semjax audit WORKDIR" in capsys.readouterr().out


def test_the_module_takes_the_verb_too(work):
    command = [sys.executable, "-m", "semjax", "audit", str(work.path), "--n=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (work.path / "audit" / "audit.html").is_file()
