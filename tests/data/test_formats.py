"""Tests of instruments' own file formats, read by RosettaSciIO."""

import importlib

import numpy as np
import pytest
from PIL import Image

from semjax.data import formats, images, metadata

IMAGE = np.random.default_rng(0).integers(0, 200, (40, 48), dtype=np.uint8)


def write_emd(path, image=IMAGE, *, scale=2.5, unit="nm"):
    names = ("z", "y", "x")[-image.ndim :]
    axes = [
        {
            "name": name,
            "units": unit,
            "scale": scale,
            "offset": 0.0,
            "size": size,
            "index_in_array": i,
            "navigate": name == "z",
        }
        for i, (name, size) in enumerate(zip(names, image.shape, strict=True))
    ]
    known = {"General": {"title": "t"}, "Signal": {}}
    signal = {"data": image, "axes": axes, "metadata": known}
    writer = importlib.import_module("rsciio.emd").file_writer
    writer(str(path), signal | {"original_metadata": {}, "package": "", "package_version": ""})


def test_an_image_and_its_pixel_size(tmp_path):
    write_emd(tmp_path / "a.emd")
    found = images.read_micrograph(tmp_path / "a.emd", info_bar_px=0)
    assert np.array_equal(found.raw, IMAGE)
    assert (found.pixel_size_nm, found.pixel_size_from) == (2.5, "emd file")


@pytest.mark.parametrize(("unit", "size"), [("um", 2500), ("1/nm", None), ("", None)])
def test_units(tmp_path, unit, size):
    write_emd(tmp_path / "a.emd", unit=unit)
    found = metadata.pixel_size_nm(tmp_path / "a.emd")
    assert found == (size and (size, "emd file"))


def test_of_a_stack_the_first_plane_is_read(tmp_path):
    write_emd(tmp_path / "a.emd", np.stack([IMAGE, 0 * IMAGE, 0 * IMAGE]))
    assert np.array_equal(images.read_image(tmp_path / "a.emd"), IMAGE)


# RosettaSciIO leaves a damaged MRC file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_file_is_named(tmp_path):
    for suffix in formats.READERS:
        (tmp_path / f"a{suffix}").write_bytes(b"no such file" * 20)
        with pytest.raises(ValueError, match=f"cannot read image .*a{suffix}"):
            images.read_image(tmp_path / f"a{suffix}")


def test_they_are_listed(tmp_path):
    write_emd(tmp_path / "a2.emd")
    Image.fromarray(IMAGE).save(tmp_path / "a10.png")
    assert [p.name for p in images.list_images(tmp_path)] == ["a2.emd", "a10.png"]


@pytest.mark.parametrize("suffix", formats.READERS)
def test_without_the_extra_one_sentence_says_so(tmp_path, monkeypatch, caplog, suffix):
    monkeypatch.setattr(formats, "installed", lambda: False)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"")
    extra = r"needs the extra: pip install 'semjax\[formats\]'"
    with pytest.raises(ValueError, match=f"a{suffix}.*{extra}"):
        images.list_images(tmp_path)
    with pytest.raises(ValueError, match=f"a{suffix} {extra}"):
        images.read_image(path)
    Image.fromarray(IMAGE).save(tmp_path / "b.png")
    with caplog.at_level("WARNING"):
        assert [p.name for p in images.list_images(tmp_path)] == ["b.png"]
    assert "passed over" in caplog.text and "semjax[formats]" in caplog.text


def test_what_the_file_says_of_the_instrument(tmp_path, monkeypatch):
    image = {
        "data": IMAGE,
        "axes": [{"units": "nm", "scale": 3.0}, {"units": "nm", "scale": 2.0}],
        "metadata": {
            "General": {"date": "2024-05-06", "time": "07:08:09"},
            "Acquisition_instrument": {
                "SEM": {"beam_energy": 5.0, "microscope": "Apreo", "magnification": 50000.0}
            },
        },
    }
    monkeypatch.setattr(formats, "_load", lambda path: image)
    path = tmp_path / "a.dm3"
    path.write_bytes(b"")
    assert metadata.pixel_nm(path) == (2.0, 3.0, "dm3 file")
    assert metadata.instrument(path) == {
        "model": "Apreo",
        "accelerating voltage": "5 kV",
        "magnification": "50000 x",
        "date": "2024-05-06 07:08:09",
    }
