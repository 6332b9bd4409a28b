"""Micrographs: formats, number types, tags, side files; then damaged or absurd."""

import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from semjax.data import images, metadata
from tests.fuzz import damage

SUFFIXES = (*images.SUFFIXES, ".TIF", ".gif", ".webp", ".dm3", ".emd", ".txt", "")
DTYPES = "bool u1 u2 u4 u8 i1 i2 i4 f2 f4 f8 c8".split()
# Tags and side files of instruments, {0} for every number.
ZEISS = "0\r\n0\r\n0\r\n{0}\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {0} nm\r\n"
FEI = "[User]\r\nDate=1/1/2024\r\n[Scan]\r\nPixelWidth={0}\r\nPixelHeight={0}\r\n"
TESCAN = "[MAIN]\r\nDevice=MIRA\r\nPixelSizeX={0}\r\nPixelSizeY={0}\r\nHV={0}\r\nWD={0}\r\n"
JEOL = "$CM_MAG {0}\n$SM_MICRON_BAR {0}\n$SM_MICRON_MARKER {0}um\n$CM_FULL_SIZE {0} {0}\n"
HITACHI = "[SemImageFile]\nPixelSize={0}\nAcceleratingVoltage={0} Volt\nDataSize={0}x{0}\n"
OME = (
    '<OME><Image><Pixels PhysicalSizeX="{0}" SizeX="{0}" SizeC="{0}" SizeZ="4" SizeT="{0}" '
    'Type="uint8" DimensionOrder="XYZCT"/></Image></OME>'
)
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{10 * f"&{a};"}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
XML = (OME, BOMB + "]><OME>&i;</OME>", "<OME>" + "<a>" * 3000)
WRITTEN = "2.5 2.5e-9 0 -1 nan inf 1e400 1e-400 , 1,5 9999999999 x 0x10 \x00".split(" ")


def draw(rng: np.random.Generator) -> np.ndarray:
    """A picture of any type and small shape; rarely empty, constant, or with NaN."""
    shape = damage.pick(rng, ((40, 60), (64, 64), (120, 90), (1, 1), (1, 300), (300, 1), (33, 31)))
    shape += damage.pick(rng, ((), (), (), (1,), (2,), (3,), (4,), (5,)))
    if rng.random() < 0.15:
        shape = (int(rng.integers(1, 5)), *shape)
    dtype = np.dtype(damage.pick(rng, DTYPES))
    picture = rng.normal(100, 40, shape)
    picture[..., : shape[-1] // 3] += 60
    if rng.random() < 0.1:
        picture[:] = damage.pick(rng, (0, 1, 255, -1))
    if dtype.kind in "ui":
        info = np.iinfo(dtype)
        picture = picture.clip(max(info.min, -1e18), min(info.max, 1e18))
    with np.errstate(all="ignore"):
        picture = picture.astype(dtype)
    if dtype.kind == "f" and rng.random() < 0.4:
        odd = (np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).min)
        picture.flat[rng.integers(0, picture.size, 3)] = damage.pick(rng, odd)
        if rng.random() < 0.3:
            picture[:] = damage.pick(rng, odd)
    return picture


def write_tiff(rng: np.random.Generator, path: Path, picture: np.ndarray) -> None:
    """A TIFF with any layout, tags of an instrument or none; then maybe absurd entries."""
    number = damage.pick(rng, WRITTEN)
    text = damage.pick(rng, (ZEISS, FEI, TESCAN)).format(number)
    code = damage.pick(rng, (34118, 34680, 34682, 50431))
    options = {
        "compression": damage.pick(rng, (None, None, "zlib", "lzw", "packbits", "deflate")),
        "byteorder": damage.pick(rng, "<<<>"),
        "bigtiff": bool(rng.random() < 0.1),
        "photometric": damage.pick(rng, ("minisblack", "minisblack", "miniswhite", "rgb", None)),
        "rowsperstrip": damage.pick(rng, (None, 1, 7, 64)),
        "extratags": [(code, 2, 0, text, True)] if rng.random() < 0.5 else [],
    }
    kind = rng.integers(4)
    if kind == 0:
        options |= {"imagej": True, "metadata": {"unit": damage.pick(rng, ("nm", "um", "x", 5))}}
        options |= {"resolution": damage.pick(rng, ((2, 2), (0.001, 1e6), (1e-9, 1)))}
        options |= {"byteorder": ">", "bigtiff": False, "compression": None}
    elif kind == 1:
        options |= {"description": damage.pick(rng, XML).format(number), "metadata": None}
    elif kind == 2:
        options |= {"tile": damage.pick(rng, ((16, 16), (64, 32))), "rowsperstrip": None}
    try:
        tifffile.imwrite(path, picture, **options)
    except Exception:  # what this writer refuses
        tifffile.imwrite(path, np.arange(99, dtype=np.uint8).reshape(9, 11))
    if rng.random() < 0.4:
        path.write_bytes(damage.tiff_tags(rng, path.read_bytes()))


def write_other(rng: np.random.Generator, path: Path, picture: np.ndarray) -> None:
    """A picture of another format, whatever its name says."""
    mode = damage.pick(rng, ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "YCbCr"))
    grey = np.resize(picture.real.astype(np.uint8), picture.shape[:2])
    shown = Image.fromarray(grey)
    shown = Image.fromarray(grey.astype(np.uint16)) if mode == "I;16" else shown.convert(mode)
    forms = ("PNG", "PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
    for form in (damage.pick(rng, forms), "PNG"):
        try:
            shown.save(path, form)
            return
        except (OSError, ValueError):
            shown = Image.fromarray(grey)


def write_bomb(rng: np.random.Generator, path: Path) -> None:
    """A small file that says, or holds, an enormous picture."""
    h, w = damage.pick(
        rng,
        (
            *((2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (65535, 65535)),
            *((40_000, 40_000), (0, 0), (0, 5), (100_000, 50_000)),
        ),
    )
    kind = rng.integers(4)
    if kind == 0:  # PNG
        head = struct.pack(">IIBBBBB", w, h, damage.pick(rng, (1, 8, 16)), 0, 0, 0, 0)
        data = zlib.compress(bytes(2_000_000), 9)
        chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
        parts = (
            struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d))
            for n, d in chunks
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    elif kind == 1:  # BMP
        head = struct.pack("<IiiHHIIiiII", 40, w, -h, 1, 8, 0, 0, 1, 1, 0, 0)
        path.write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head + bytes(1000))
    else:  # TIFF: one strip, much larger than the picture says, or the picture larger than that
        tifffile.imwrite(path, np.zeros((100, 100), np.uint8), compression="zlib", metadata=None)
        found = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as tif:
            tags = {tag.code: tag for tag in tif.pages.first.tags}
        wanted = {256: w, 257: h, 278: h} if kind == 2 else {}
        packer, piece = zlib.compressobj(9), bytes(50_000_000)
        pieces = 60 if rng.random() < 0.03 else 1
        data = b"".join(packer.compress(piece) for _ in range(pieces)) + packer.flush()
        wanted |= {273: len(found), 279: len(data)}
        for code, number in wanted.items():
            tag = tags[code]
            form = "<I" if tag.dtype == tifffile.DATATYPE.LONG else "<H"
            number = number if form == "<I" else min(number, 65535)
            struct.pack_into(form, found, tag.valueoffset, number)
        path.write_bytes(bytes(found) + data)


def write_side(rng: np.random.Generator, path: Path) -> None:
    """A side file of an instrument, or something else of its name."""
    text = damage.pick(rng, (JEOL, HITACHI, TESCAN)).format(damage.pick(rng, WRITTEN))
    side = path.with_suffix(damage.pick(rng, (".txt", ".hdr")))
    if side != path:
        side.write_bytes(text.encode(damage.pick(rng, ("utf-8", "utf-16", "cp1252")), "replace"))
        if rng.random() < 0.4:
            damage.spoil_file(rng, side)


def make(rng: np.random.Generator, folder: Path) -> None:
    """One picture, named `case` with any suffix."""
    path = folder / f"case{damage.pick(rng, SUFFIXES) if rng.random() < 0.3 else '.tif'}"
    kind = rng.random()
    if kind < 0.55:
        write_tiff(rng, path, draw(rng))
    elif kind < 0.85:
        path = folder / f"case{damage.pick(rng, SUFFIXES)}"
        write_other(rng, path, draw(rng))
    elif kind < 0.93:
        write_bomb(rng, path)
    elif kind < 0.96:
        path.write_bytes(damage.pick(rng, (b"", b"II*\0", b"MM\0*", b"%!PS-Adobe-3.0 EPSF-3.0\n")))
    elif kind < 0.97:
        path.symlink_to(damage.pick(rng, ("/etc/passwd", "nowhere.tif", "case.tif", "/dev/zero")))
    elif kind < 0.98:
        path.mkdir()
    else:
        path.write_bytes(rng.bytes(int(rng.integers(1, 5000))))
    if path.is_file() and not path.is_symlink() and rng.random() < 0.35:
        damage.spoil_file(rng, path)
    if rng.random() < 0.2:
        write_side(rng, path)


def find(folder: Path) -> Path:
    """The picture of a case; what else is there are side files."""
    found = sorted(folder.iterdir(), key=lambda p: p.suffix in (".hdr", ".txt"))
    return found[0]


def read_micrograph(folder: Path) -> None:
    """As the workflow and `semjax segment` read it; what comes must be sound."""
    found = images.read_micrograph(find(folder))
    assert found.image.dtype == np.float32 and found.image.ndim == 2 and found.image.size
    assert np.isfinite(found.image).all() and abs(found.image).max() <= 1
    assert found.pixel_size_nm is None or 0 < found.pixel_size_nm < np.inf


def read_colors(folder: Path) -> None:
    """As a class mask is read."""
    assert images.read_colors(find(folder)).ndim in (2, 3)


def read_instrument(folder: Path) -> None:
    """As the report asks for it."""
    found = metadata.instrument(find(folder))
    assert all(isinstance(text, str) for text in found.values())


def read_folder(folder: Path) -> None:
    """As any command lists it."""
    images.list_images(folder)


READERS = (read_micrograph, read_colors, read_instrument, read_folder)
