"""The size report as a file: small, alone, nothing broken by names, and told what is missing."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semjax import main
from semjax.report import measured, sample


class Seen(HTMLParser):
    """Tags, addresses and texts of a page; a script's content is no text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.words, self.inside = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.words.append(data)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def column(data, name, number=0):
    """A column of the payload, decoded as the page does."""
    found = data["samples"][number]["columns"][name]
    kinds = {"float": "<f8", "int": "<i4", "bool": np.uint8, "text": "<i4"}
    values = np.frombuffer(base64.b64decode(found["data"]), kinds[found["kind"]])
    return [found["texts"][i] for i in values] if found["kind"] == "text" else values


def test_it_stands_alone_and_names_cannot_break_it(tmp_path, make_folder):
    folder = make_folder(tmp_path / "<x> & 'y'" / "7_measure")
    page = sample.write([folder], tmp_path / "r.html").read_text(encoding="utf-8")
    seen = Seen(page)
    assert seen.addresses
    assert all(a.startswith(("data:", "#")) for a in seen.addresses)
    assert "b" not in seen.tags and "x" not in seen.tags and "i" in seen.tags
    assert seen.tags.count("script") == 3
    text = " ".join(seen.words)
    assert "Particle sizes of <x> & 'y'" in text
    assert "<b>&amp; \"q\" 'é µ' 100 %" in text, "in the table of images"
    assert "A & <B>" in text
    # Nothing is fetched by the script or the style either.
    assert not re.search(r"(url\(|import |fetch\(|XMLHttp)", page)
    assert set(re.findall(r"https?://[^\s\"'`<]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_every_number_of_the_table_is_there_exactly(tmp_path, make_folder):
    folder = make_folder(tmp_path / "m")
    data = data_of(sample.write([folder], tmp_path / "r.html").read_text(encoding="utf-8"))
    table = pd.read_csv(folder / "particles.csv", keep_default_na=False)
    assert list(data["samples"][0]["columns"]) == list(table)
    for name in table:
        np.testing.assert_array_equal(column(data, name), table[name], err_msg=name)
    drawn = [i for image in data["samples"][0]["images"] for i, _ in image["particles"]]
    assert drawn == list(range(len(table)))
    assert {limit["column"] for limit in data["limits"]} == {
        *("min_feret_nm", "max_feret_nm", "area_nm2", "solidity", "circularity"),
        *("aspect_ratio", "mean_intensity", "class_score"),
    }


@pytest.mark.parametrize(("images", "embedded"), [(0, 0), (1, 1), (12, 3)])
def test_some_pictures_are_embedded_and_the_others_linked(tmp_path, make_folder, images, embedded):
    folder = make_folder(tmp_path / "m n", names=("a", "b", "c"), shape=(60, 60))
    page = sample.write([folder], tmp_path / "out" / "r.html", images=images)
    found = data_of(page.read_text(encoding="utf-8"))["samples"][0]["images"]
    assert sum(image["picture"].startswith("data:") for image in found) == embedded
    linked = [i for i in found if not i["picture"].startswith("data:")]
    assert all(i["picture"] == f"../m%20n/pictures/{i['name']}.jpg" for i in linked)
    assert all("beside" in image["note"] for image in linked)


def test_it_stays_below_its_limit(tmp_path, make_folder, monkeypatch):
    names = tuple("abcdef")
    folder = make_folder(tmp_path / "m", names=names, shape=(60, 60))
    noise = np.random.default_rng(0).integers(0, 255, (400, 400), np.uint8)
    for name in names:
        Image.fromarray(noise).save(folder / "pictures" / f"{name}.jpg", quality=95)
    without = sample.write([folder], tmp_path / "r.html", images=0).stat().st_size
    monkeypatch.setattr(sample, "FEWEST_BYTES", 20_000)
    for room, least in ((30_000, 1), (200_000, 6)):
        monkeypatch.setattr(sample, "LARGEST_BYTES", without + room)
        page = sample.write([folder], tmp_path / "r.html")
        assert page.stat().st_size <= without + room
        shown = data_of(page.read_text(encoding="utf-8"))["samples"][0]["images"]
        assert sum(image["picture"].startswith("data:") for image in shown) >= least
    monkeypatch.setattr(sample, "LARGEST_BYTES", without - 1000)
    with pytest.raises(ValueError, match="give fewer samples at once"):
        sample.write([folder], tmp_path / "r.html")


def test_samples_side_by_side(tmp_path, make_folder):
    folders = [
        make_folder(tmp_path / "one" / "7_measure"),
        make_folder(tmp_path / "two", seed=1, border="weights"),
    ]
    page = sample.write([tmp_path / "one", folders[1]], tmp_path / "r.html").read_text("utf-8")
    heads = re.findall(r'<th scope="col">(one|two)</th>', page)
    assert heads.count("one") == heads.count("two") >= 10
    data = data_of(page)
    assert [s["name"] for s in data["samples"]] == ["one", "two"]
    assert [s["weighted"] for s in data["samples"]] == [False, True]
    described = json.loads(re.search(r'id="described">(.*?)</script>', page, re.DOTALL)[1])
    for name, folder in zip(described, folders, strict=True):
        kept = pd.read_csv(folder / "particles.csv")["kept"].sum()
        assert described[name]["counts"]["kept"] == kept


def test_folders_of_one_name_are_told_apart(tmp_path, make_folder):
    folders = [make_folder(tmp_path / day / "beads", shape=(60, 60)) for day in ("mon", "tue")]
    assert measured.name_all(folders) == ["mon/beads", "tue/beads"]
    with pytest.raises(ValueError, match="given twice"):
        measured.name_all([folders[0], folders[0]])


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("pictures", "pictures/: the overlays, if any, are shown"),
        ("labels", "labels/ of 2 images: circles"),
        ("measured.json", "measured.json: hashes of the images"),
        ("images.csv", "images.csv: images without any particle"),
    ],
)
def test_what_is_missing_is_said(tmp_path, make_folder, gone, words):
    folder = make_folder(tmp_path / "m")
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = sample.write([folder], tmp_path / "r.html").read_text(encoding="utf-8")
    assert words in " ".join(Seen(page).words)
    shown = data_of(page)["samples"][0]["images"]
    assert all(image["picture"].startswith("data:") for image in shown)
    assert sum(len(image["particles"]) for image in shown) == 60
    if gone == "labels":
        assert all(re.match(r"M-?\d+ -?\d+a", path) for _, path in shown[0]["particles"])


def test_the_table_alone_gives_a_report(tmp_path, make_folder):
    folder = make_folder(tmp_path / "m")
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folder / "particles.csv", bare)
    page = sample.write([bare], tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("There is no picture of this image") == 2


@pytest.mark.parametrize("unit", ["nm", "px"])
@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_few_particles_are_enough(tmp_path, make_folder, unit, kept):
    folder = make_folder(tmp_path / "m", unit=unit, shape=(90, 90), names=("a",))
    table = pd.read_csv(folder / "particles.csv", keep_default_na=False)
    inside = np.flatnonzero(~table["border"])
    table["kept"] = False
    table.loc[inside[:kept], "kept"] = True
    table.to_csv(folder / "particles.csv", index=False)
    page = sample.write([folder], tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"<dt>particles measured</dt><dd>{kept}</dd>" in page
    assert "nan" not in " ".join(Seen(page).words).lower().split()


def edits_for(folder, changes):
    sha = measured.read(folder, "any").sha256
    edits = [{"sample": "s", "image": i, "label": int(n), "keep": k} for i, n, k in changes]
    return {"format": 1, "samples": {"s": sha}, "edits": edits}


def test_edits_make_a_report_and_a_table_and_leave_the_original(tmp_path, make_folder):
    folder = make_folder(tmp_path / "m")
    before = (folder / "particles.csv").read_bytes()
    table = pd.read_csv(folder / "particles.csv", keep_default_na=False)
    table = table.set_index(["image", "label"])
    dropped = table[table["kept"]].index[:2].tolist()
    kept = table[~table["kept"] & ~table["border"]].index[:1].tolist()
    changes = [(*place, False) for place in dropped] + [(*place, True) for place in kept]
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(edits_for(folder, changes)))
    out = tmp_path / "r.html"
    assert main.console(["report", str(folder), f"--out={out}", f"--edits={path}"]) == 0
    page = out.read_text(encoding="utf-8")
    assert (folder / "particles.csv").read_bytes() == before
    edited = pd.read_csv(folder / "particles.edited.csv", keep_default_na=False)
    edited = edited.set_index(["image", "label"])
    assert not edited.loc[dropped, "kept"].any() and edited.loc[kept, "kept"].all()
    assert (edited.loc[dropped, "reason"] == "dropped by hand").all()
    rest = table.index.difference([*dropped, *kept])
    pd.testing.assert_frame_equal(edited.loc[rest], table.loc[rest])
    described = json.loads(re.search(r'id="described">(.*?)</script>', page, re.DOTALL)[1])
    expected = edited.loc[edited["kept"], "min_feret_nm"].mean()
    got = described["m"]["measurands"]["min_feret"]["number"]["mean"]
    assert got == pytest.approx(expected, rel=1e-5)
    assert described["m"]["counts"]["excluded"]["dropped by hand"] == 2
    # The page goes on from the same edits.
    assert [e["keep"] for e in data_of(page)["edits"]] == [False, False, True]
    # Edits of a sample beside it leave its own; other ones of it put them aside.
    other = make_folder(tmp_path / "other", seed=1)
    label = pd.read_csv(other / "particles.csv").query("kept")["label"].iloc[0]
    path.write_text(json.dumps(edits_for(other, [("plain", label, False)])))
    before = (folder / "particles.edited.csv").read_bytes()
    sample.write([folder, other], out, edits=path)
    assert (folder / "particles.edited.csv").read_bytes() == before
    assert (other / "edits.json").is_file()
    path.write_text(json.dumps(edits_for(folder, changes[:1])))
    sample.write([folder], out, edits=path)
    assert (folder / "particles.edited.csv").read_bytes() != before
    (aside,) = folder.glob("edits.*.json")
    sample.write([folder], out, edits=aside)  # can be given again
    assert (folder / "particles.edited.csv").read_bytes() == before


def test_edits_never_reach_other_particles(tmp_path, make_folder):
    one, other = make_folder(tmp_path / "one"), make_folder(tmp_path / "other", seed=1)
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(edits_for(other, [("plain", 8, False)])))
    with pytest.raises(ValueError, match="made for another particles.csv"):
        sample.write([one], tmp_path / "r.html", edits=path)
    assert not (tmp_path / "r.html").exists() and not (one / "particles.edited.csv").exists()
    table = pd.read_csv(one / "particles.csv")
    image, label = table.loc[table["border"], ["image", "label"]].iloc[0]
    for change, words in [
        ((image, label, True), "touches the border"),
        (("no", 1, True), "not known"),
    ]:
        path.write_text(json.dumps(edits_for(one, [change])))
        with pytest.raises(ValueError, match=words):
            sample.write([one], tmp_path / "r.html", edits=path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1, "samples": {}, "edits": [1]}', "no"])
def test_a_file_that_holds_no_edits_is_refused(tmp_path, make_folder, text):
    folder = make_folder(tmp_path / "m", shape=(60, 60))
    (tmp_path / "edits.json").write_text(text)
    with pytest.raises(ValueError, match=r"no file of edits|damaged"):
        sample.write([folder], tmp_path / "r.html", edits=tmp_path / "edits.json")


def test_bad_input_gets_one_sentence(tmp_path, make_folder, capsys):
    def run(*arguments):
        code = main.console(["report", *map(str, arguments)])
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return code, err

    folder = make_folder(tmp_path / "m", shape=(60, 60))
    assert run()[0] == 2
    code, err = run(folder, folder)
    assert code == 2 and "--out=FILE.html" in err
    code, err = run(tmp_path / "nothing")
    assert code == 1 and "is no folder" in err and "semjax segment" in err
    own = tmp_path / "mine.html"
    own.write_text("my page")
    code, err = run(folder, f"--out={own}")
    assert code == 1 and "is no size report" in err and own.read_text() == "my page"
    pixels = make_folder(tmp_path / "p", shape=(60, 60), unit="px")
    code, err = run(folder, pixels, f"--out={tmp_path / 'r.html'}")
    assert code == 1 and "cannot be shown together" in err
    (folder / "particles.csv").write_text("image,label\na,1\n")
    code, err = run(folder)
    assert code == 1 and "lacks the columns kept" in err
    (folder / "particles.csv").write_bytes(b"\x00\xff\xfe")
    code, err = run(folder)
    assert code == 1 and "particles.csv" in err


def test_a_second_report_replaces_the_first(tmp_path, make_folder, capsys):
    folder = make_folder(tmp_path / "m", shape=(60, 60))
    for _ in range(2):
        assert main.console(["report", str(folder)]) == 0
    assert (folder / "size_report.html").is_file()
    assert "size_report.html" in capsys.readouterr().out
