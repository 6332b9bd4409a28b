"""Registrations (XML) and the notes of verified files of the published data set."""

from pathlib import Path

import numpy as np

from semjax.data import tio2
from tests.fuzz import damage, pictures

GOOD = '<root><iict_transform class="T" data="1.5 -2.25"/><iict_transform data="0 1"/></root>'


def make(rng: np.random.Generator, folder: Path) -> None:
    """A registration, and notes."""
    content = damage.pick(rng, (GOOD, GOOD, GOOD, *pictures.XML)).encode()
    content = content.replace(b"1.5", damage.pick(rng, (b"1.5", b"nan", b"x", b"1e400", b"")))
    (folder / "a.xml").write_bytes(damage.some_bytes(rng, content))
    damage.write_json(rng, folder / "verified.json", {"a/b.tif": [1, 2, "c"]})


def shifts(folder: Path) -> None:
    """As the workflow reads a registration."""
    dy, dx = tio2._read_shift(folder / "a.xml")
    assert np.isfinite([dy, dx]).all()


def notes(folder: Path) -> None:
    """As `fetch` reads its notes: damaged ones are as good as none."""
    assert isinstance(tio2._read_notes(folder / "verified.json"), dict)


READERS = (shifts, notes)
