"""Tests of fetching the published data, from a server of our own."""

import hashlib
import http.server
import os
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

from semjax.data import tio2

PUBLISHED = os.environ.get(tio2.ENVIRONMENT, "")
CONTENTS = {
    "Some Images/SEM/1.tif": b"first" * 50_000,
    "Some Images/SEM/2.tif": b"second" * 1000,
    "Some Images/SEM/10 \u00e4#%.tif": b"third",
}


@pytest.fixture(autouse=True)
def small_registry(monkeypatch, tmp_path):
    """Three small files instead of the published ones, a cache of our own, no pauses."""
    hashes = {p: hashlib.sha256(content).hexdigest() for p, content in CONTENTS.items()}
    monkeypatch.setattr(tio2, "registry", lambda: hashes)
    monkeypatch.setattr(tio2.pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.delenv(tio2.ENVIRONMENT, raising=False)


@pytest.fixture
def server():
    """A server of CONTENTS; `cut` and `broken` hold paths to spoil, `asked` all requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = unquote(self.path.removeprefix("/data/"))
            self.server.asked.append(path)
            if path not in CONTENTS:
                self.send_error(404)
                return
            content = CONTENTS[path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if path in self.server.cut:
                self.server.cut.remove(path)
                content = content[: len(content) // 2]
            if path in self.server.broken:
                content = b"x" * len(content)
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.cut, server.broken = [], [], []
        server.url = f"http://127.0.0.1:{server.server_port}/data/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def list_cache(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file())


def test_fetches_once(server, tmp_path, capfd):
    files = tio2.fetch(CONTENTS, base_url=server.url)
    assert [f.read_bytes() for f in files] == list(CONTENTS.values())
    assert server.asked == list(CONTENTS)
    shown = capfd.readouterr().err
    assert "CC BY-NC-ND 4.0" in shown and "10.1038/s41598-021-84287-6" in shown
    assert tio2.fetch(CONTENTS, base_url=server.url) == files
    assert len(server.asked) == 3
    assert capfd.readouterr().err == ""


def test_verified_files_are_not_hashed_again(server, monkeypatch):
    tio2.fetch(CONTENTS, base_url=server.url)
    monkeypatch.setattr(tio2.pooch, "create", lambda **options: pytest.fail("looked again"))
    tio2.fetch(CONTENTS, base_url=server.url)


def test_licence_is_shown_once(server, capfd):
    first, *others = CONTENTS
    tio2.fetch([first], base_url=server.url)
    assert "CC BY-NC-ND" in capfd.readouterr().err
    tio2.fetch(others, base_url=server.url)
    assert "CC BY-NC-ND" not in capfd.readouterr().err


def test_changed_file_is_fetched_again(server):
    first, *_ = tio2.fetch(CONTENTS, base_url=server.url)
    first.write_bytes(b"spoilt")
    tio2.fetch(CONTENTS, base_url=server.url)
    assert first.read_bytes() == next(iter(CONTENTS.values()))
    assert len(server.asked) == 4


@pytest.mark.parametrize("notes", [None, "", "[1]", '{"a": 1'])
def test_lost_notes_cost_no_download(server, tmp_path, notes):
    tio2.fetch(CONTENTS, base_url=server.url)
    path = tmp_path / "cache/semjax/tio2/verified.json"
    path.unlink() if notes is None else path.write_text(notes)
    tio2.fetch(CONTENTS, base_url=server.url)
    assert len(server.asked) == 3
    assert path.exists()


def test_cut_connection_is_tried_again(server, tmp_path):
    first = next(iter(CONTENTS))
    server.cut = [first, first]
    (file,) = tio2.fetch([first], base_url=server.url)
    assert file.read_bytes() == CONTENTS[first]
    assert server.asked == [first] * 3
    assert list_cache(tmp_path) == ["1.tif", "verified.json"]


def test_wrong_content_is_not_kept(server, tmp_path):
    first, second, _ = CONTENTS
    server.broken = [second]
    with pytest.raises(ValueError, match="2.tif .* not the published file.*zenodo"):
        tio2.fetch(CONTENTS, base_url=server.url)
    assert list_cache(tmp_path) == ["1.tif", "verified.json"]
    server.broken = []
    server.asked.clear()
    tio2.fetch(CONTENTS, base_url=server.url)
    assert first not in server.asked


@pytest.mark.parametrize("reason", ["nobody listens", "no such file"])
def test_unreachable(server, tmp_path, reason):
    url = server.url + "elsewhere/" if reason == "no such file" else "http://127.0.0.1:9/"
    with pytest.raises(FileNotFoundError) as caught:
        tio2.fetch(CONTENTS, base_url=url)
    for hint in ("1.tif", "zenodo.4563942", "data.folder", "SEMJAX_TIO2", "Datasets"):
        assert hint in str(caught.value)
    assert list_cache(tmp_path) == []


def write_copy(folder, paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"as it is")
    return folder


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_existing_copy_is_used_as_it_is(tmp_path, monkeypatch, by):
    copy = write_copy(tmp_path / "copy", CONTENTS)
    if by == "environment":
        monkeypatch.setenv(tio2.ENVIRONMENT, str(copy))
    files = tio2.fetch(CONTENTS, folder=str(copy) if by == "argument" else "", base_url="none")
    assert files == [copy / p for p in CONTENTS]
    assert list_cache(tmp_path) == []


def test_incomplete_copy(tmp_path):
    first, second, _ = CONTENTS
    copy = str(write_copy(tmp_path / "copy", [first]))
    with pytest.raises(FileNotFoundError, match="lacks 2 of 3 files.*2.tif.*complete it"):
        tio2.fetch(CONTENTS, folder=copy)
    assert tio2.available({"1": first, "2": second}, folder=copy) == {"1": Path(copy) / first}


def test_available_fetches_without_a_copy(server):
    first, *_ = CONTENTS
    found = tio2.available({"1": first}, base_url=server.url)
    assert found["1"].read_bytes() == CONTENTS[first]


def test_missing_copy(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="named by data.folder"):
        tio2.fetch([], folder=str(tmp_path / "none"))
    monkeypatch.setenv(tio2.ENVIRONMENT, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="variable SEMJAX_TIO2"):
        tio2.available({})


def test_unknown_path():
    with pytest.raises(ValueError, match="Images/3.tif is no file"):
        tio2.fetch(["Images/3.tif"])


def test_published_registry(monkeypatch):
    monkeypatch.undo()
    assert len(tio2.registry()) == 360
    assert all(len(sha256) == 64 for sha256 in tio2.registry().values())
    names = list(tio2.image_paths())
    assert len(names) == 40 and names[0] == "1908248"
    assert len(tio2.outline_paths()) == 40
    for paths in (
        tio2.mask_paths(),
        tio2.class_mask_paths(2),
        tio2.class_mask_paths(4),
        tio2.tsem_image_paths(),
        tio2.tsem_mask_paths(),
        tio2.shift_paths(),
    ):
        assert list(paths) == names
        assert set(paths.values()) <= set(tio2.registry())
    assert tio2.mask_paths()["1908250"].endswith("TiO2_Masks_Manual_4connected/1908250_m.tif")
    assert tio2.tsem_image_paths()["1908250"].endswith("TSEM/1908251.tif")
    assert tio2.shift_paths()["1908250"].endswith("Transform/1908251.xml")
    with pytest.raises(ValueError, match="2 and of 4"):
        tio2.class_mask_paths(3)


TRANSLATION = '<iict_transform class="mpicbg.trakem2.transform.TranslationModel2D" data="{}" />'


def write_registration(folder, text):
    path = f"{tio2.MASKS}/TiO2_Masks_TSEM/Image_Registration/Transform/1908249.xml"
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text(text)
    return str(folder)


def test_shifts(tmp_path, monkeypatch):
    monkeypatch.undo()
    first, second = TRANSLATION.format("6.5 -10.25"), TRANSLATION.format("0.5 0.0")
    text = f"<ict_transform_list>\n{first}\n{second}\n</ict_transform_list>"
    folder = write_registration(tmp_path, text)
    assert tio2.shifts(folder=folder) == {"1908248": (-10.25, 7.0)}


@pytest.mark.parametrize(
    "text",
    [
        TRANSLATION.format("0 1 -1 0 3 4"),
        TRANSLATION.format("1"),
        TRANSLATION.format("a b"),
        "<broken",
        "",
    ],
)
def test_no_shift(tmp_path, monkeypatch, text):
    monkeypatch.undo()
    folder = write_registration(tmp_path, text)
    with pytest.raises(ValueError, match="1908249.xml is no registration"):
        tio2.shifts(folder=folder)


@pytest.mark.skipif(not PUBLISHED, reason="needs the published TiO2 data")
def test_published_shifts(monkeypatch):
    monkeypatch.undo()
    found = tio2.shifts(folder=PUBLISHED)
    assert found["1908248"] == pytest.approx((-10.3, 6.1), abs=0.05)
    assert max(abs(value) for shift in found.values() for value in shift) < 20.1
