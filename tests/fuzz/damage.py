"""How good content is spoilt: bytes, values of JSON, tables, tags of TIFF files, zips."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ODD = (
    *(None, True, False, 0, -1, 1, 2, 7, 255, 65536, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30),
    *(0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "NaN", "1", "../../../etc/passwd", "/etc/passwd", "a/b", "\x00", "\ud7ff\u202e"),
    *("x" * 5000, [], {}, [[]], [None], [1, 2], [[0, 0], [1, 1]], {"a": 1}, [float("nan")] * 3),
)
NUMBERS = (0, 1, 2, 3, 5, 7, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**32 - 1)


def pick(rng: np.random.Generator, choices) -> Any:
    """One of the choices, unchanged (NumPy would make arrays of them)."""
    return choices[int(rng.integers(len(choices)))]


def some_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Bytes with one to three damages: cut, bits turned, pieces lost, doubled or overwritten."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        n = len(found)
        if n == 0:
            break
        start = int(rng.integers(n) if rng.random() < 0.5 else rng.integers(min(n, 300)))
        length = int(rng.integers(1, 40))
        kind = rng.integers(6)
        if kind == 0:
            del found[start:]
        elif kind == 1:
            for at in rng.integers(start, min(n, start + 64), length // 4 + 1):
                found[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del found[start : start + length]
        elif kind == 3:
            found[start:start] = found[start : start + length]
        elif kind == 4:
            found[start : start + length] = bytes([pick(rng, (0, 255, 127))]) * length
        else:
            found[start : start + length] = rng.bytes(length)
    return bytes(found)


def spoil_file(rng: np.random.Generator, path: Path) -> None:
    """Damages the bytes of a file."""
    path.write_bytes(some_bytes(rng, path.read_bytes()))


def value(rng: np.random.Generator, found: Any) -> Any:
    """A JSON value with one place of it changed, lost, doubled or nested."""
    if isinstance(found, dict) and found and rng.random() < 0.9:
        key = pick(rng, list(found))
        changed = dict(found)
        if rng.random() < 0.12:
            del changed[key]
        else:
            changed[key] = value(rng, found[key])
        return changed
    if isinstance(found, list) and found and rng.random() < 0.85:
        at = int(rng.integers(len(found)))
        if rng.random() < 0.1:
            return found[:at] + found[at + 1 :]
        if rng.random() < 0.1:
            return found + found[at:]
        return [*found[:at], value(rng, found[at]), *found[at + 1 :]]
    if isinstance(found, int | float) and not isinstance(found, bool) and rng.random() < 0.5:
        return pick(rng, (-found, found * 1000, found + 0.5, str(found), found * 1e9, 10**30, -1))
    return pick(rng, ODD)


def write_json(rng: np.random.Generator, path: Path, good: Any) -> None:
    """Writes a JSON file of good content: as it is, changed, damaged, or hostile as text."""
    for _ in range(rng.integers(0, 4)):
        good = value(rng, good)
    content = json.dumps(good, ensure_ascii=bool(rng.integers(2))).encode("utf-8", "replace")
    kind = rng.random()
    if kind < 0.1:
        content = some_bytes(rng, content)
    elif kind < 0.17:
        content = pick(
            rng,
            (
                *(b"", b"null", b"[]", b"{}", b"1" * 10_000, b"NaN", b'"' + b"x" * 10_000),
                *(b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{}", b"\x00" * 1000),
                b'{"shapes": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            ),
        )
    elif kind < 0.2:
        content = content.replace(b"1", b"1" * 5000)
    elif kind < 0.22:
        content = pick(rng, (b"\xef\xbb\xbf" + content, content.decode().encode("utf-16")))
    path.write_bytes(content)


def write_zip(rng: np.random.Generator, path: Path, members: list[tuple[str, bytes]]) -> None:
    """Writes a zip: as it is, with strange names, doubled members or bombs; then maybe damaged."""
    names = (
        *("../climb.roi", "/tmp/absolute.roi", "..\\windows.roi", "C:\\a.roi", "a/b/c.roi"),
        *(".hidden.roi", "x" * 3000 + ".roi", "\u202egnp.roi", "link.roi", "notes.txt", "con.roi"),
    )
    if rng.random() < 0.3 and members:
        members = [*members, (pick(rng, names), pick(rng, members)[1])]
    if rng.random() < 0.1 and members:
        members = members * 2
    with zipfile.ZipFile(path, "w", pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of doubled names
            for name, content in members:
                if name == "link.roi":
                    linked = zipfile.ZipInfo(name)
                    linked.external_attr = 0o120777 << 16
                    file.writestr(linked, "/etc/passwd")
                else:
                    file.writestr(name, content)
    if rng.random() < 0.02:  # a bomb
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
            for name, _ in members or [("a.roi", b"")]:
                file.writestr(name, bytes(40_000_000))
    if rng.random() < 0.3:
        spoil_file(rng, path)


def tiff_tags(rng: np.random.Generator, content: bytes) -> bytes:
    """A classic little-endian TIFF with one to three entries of its first directory changed."""
    if content[:4] != b"II*\0":
        return content
    found = bytearray(content)
    (first,) = struct.unpack_from("<I", found, 4)
    (entries,) = struct.unpack_from("<H", found, first)
    for _ in range(rng.integers(1, 4)):
        at = first + 2 + 12 * int(rng.integers(entries))
        if at + 12 > len(found):
            break
        field, size = pick(rng, ((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 4)))
        number = int(pick(rng, NUMBERS)) if rng.random() < 0.8 else int(rng.integers(2**31))
        struct.pack_into("<I" if size == 4 else "<H", found, at + field, number % 256**size)
    if rng.random() < 0.1:  # the directory is its own successor
        end = first + 2 + 12 * entries
        found[end : end + 4] = struct.pack("<I", first)
    return bytes(found)
