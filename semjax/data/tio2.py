"""The published TiO2 data: fetched file by file and verified, or taken from an existing copy.

B. Ruehle, J. F. Krumrey, V.-D. Hodoroaba, Scientific Reports 11, 4942 (2021),
doi:10.1038/s41598-021-84287-6. Data: doi:10.5281/zenodo.4563942, licence CC BY-NC-ND 4.0.

Files are named by their paths in the published archive. `fetch` turns such paths into files. All
dictionaries are keyed by the id of the SEM image, "1908248" to "1908326"; the TSEM image of the
same field has the next id.
"""

import errno
import functools
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pooch
from rich.console import Console
from rich.progress import track

BASE_URL = (
    "https://raw.githubusercontent.com/BAMresearch/automatic-sem-image-segmentation/"
    "8c88052e2320062d6de4d20cf7d67a1cdd20a9e7/"
)
ENVIRONMENT = "SEMJAX_TIO2"

IMAGES = "Datasets/Electron Microscopy Images"
MASKS = "Datasets/Electron Microscopy Image Masks"
OUTLINES = "Archive/Automatic_SEM_Image_Segmentation/Input_Masks"

NOTICE = """\
Fetching TiO2 micrographs and masks by B. Ruehle, J. F. Krumrey and V.-D. Hodoroaba (BAM).
Licence of the data: CC BY-NC-ND 4.0, https://creativecommons.org/licenses/by-nc-nd/4.0
Please cite: Scientific Reports 11, 4942 (2021), https://doi.org/10.1038/s41598-021-84287-6"""

BY_HAND = (
    "To get the data by hand: download and unpack https://doi.org/10.5281/zenodo.4563942 (or clone "
    "the repository BAMresearch/automatic-sem-image-segmentation) and name the folder that holds "
    f"'Datasets' and 'Archive' by --config.data.folder or the environment variable {ENVIRONMENT}"
)


@functools.cache
def registry() -> dict[str, str]:
    """SHA-256 of every file, by its path in the published archive."""
    text = Path(__file__).with_name("tio2_registry.tsv").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in text.splitlines())
    return {path: sha256 for sha256, path in pairs}


def image_paths() -> dict[str, str]:
    """The 40 SEM micrographs."""
    return _list_by_id(f"{IMAGES}/SEM")


def mask_paths() -> dict[str, str]:
    """Manual masks, 0/255: particles are 4-connected, with lines of one pixel between them."""
    return _list_by_id(f"{MASKS}/TiO2_Masks_Manual_4connected")


def class_mask_paths(n_classes: int) -> dict[str, str]:
    """Masks of the particles' classes.

    Args:
      n_classes: 2 gives 0/255, white particles are good to measure; 4 gives colours: green good,
        blue intermediate, red occluded, black background.
    """
    if n_classes not in (2, 4):
        raise ValueError(f"n_classes is {n_classes}; there are masks of 2 and of 4 classes")
    return _list_by_id(f"{MASKS}/TiO2_Masks_Manual_4connected_{n_classes}Classes")


def tsem_image_paths() -> dict[str, str]:
    """Transmission (TSEM) micrographs of the same fields, particles dark."""
    return _list_by_id(f"{IMAGES}/TSEM", offset=1)


def tsem_mask_paths() -> dict[str, str]:
    """Masks thresholded from the TSEM micrographs, 0/255, in their coordinates."""
    return _list_by_id(f"{MASKS}/TiO2_Masks_TSEM", offset=1)


def shift_paths() -> dict[str, str]:
    """Registrations (XML) of TSEM micrographs onto SEM micrographs; `shifts` reads them."""
    folder = f"{MASKS}/TiO2_Masks_TSEM/Image_Registration/Transform"
    # Every second file belongs to an SEM image and holds the identity.
    tsem = _list_by_id(folder, offset=1)
    return {name: tsem[name] for name in image_paths() if name in tsem}


def outline_paths() -> list[str]:
    """The 40 outlines of single particles."""
    return sorted(p for p in registry() if p.startswith(OUTLINES + "/"))


def _list_by_id(folder: str, *, offset: int = 0) -> dict[str, str]:
    """Paths right below a folder, by the number in the file's name less the offset."""
    found = {}
    for path in sorted(registry()):
        parent, name = path.rsplit("/", 1)
        if parent == folder:
            number = int(re.split("[_.]", name)[0])
            found[str(number - offset)] = path
    return found


def fetch(paths: Iterable[str], *, folder: str = "", base_url: str = BASE_URL) -> list[Path]:
    """Makes sure that files are there, and says where.

    An existing copy (`folder`, or the folder named by the environment variable SEMJAX_TIO2) is
    used as it is and never written to. Otherwise missing files are downloaded into the user's
    cache and kept if their SHA-256 is right; files verified before are neither fetched nor hashed
    again.

    Args:
      paths: paths in the published archive.
      folder: an existing copy of the archive.
      base_url: address below which the files lie, ending in "/".

    Returns:
      One file for each path.

    Raises:
      FileNotFoundError: the copy lacks files, or the server cannot be reached.
      ValueError: an unknown path, or a downloaded file is not the published one.
    """
    paths = list(paths)
    unknown = [p for p in paths if p not in registry()]
    if unknown:
        raise ValueError(f"{unknown[0]} is no file of the published TiO2 data; see registry()")
    if copy := _find_copy(folder):
        missing = [p for p in paths if not (copy / p).is_file()]
        if missing:
            raise FileNotFoundError(
                f"the copy of the TiO2 data in {copy} lacks {len(missing)} of {len(paths)} files, "
                f"the first is {missing[0]!r}; complete it, or unset data.folder and {ENVIRONMENT} "
                f"to have the files fetched. {BY_HAND}"
            )
        return [copy / p for p in paths]
    cache = Path(pooch.os_cache("semjax")) / "tio2"
    _complete(cache, paths, base_url)
    return [cache / p for p in paths]


def available(
    paths: dict[str, str], *, folder: str = "", base_url: str = BASE_URL
) -> dict[str, Path]:
    """Files by id: those that an existing copy holds, or else all of them, fetched.

    Args:
      paths: paths by id, like `mask_paths()`.
      folder: an existing copy of the archive, see `fetch`.
      base_url: see `fetch`.
    """
    copied = list_copied(paths, folder=folder)
    if copied is not None:
        return copied
    return dict(zip(paths, fetch(paths.values(), base_url=base_url), strict=True))


def list_copied(paths: dict[str, str], *, folder: str = "") -> dict[str, Path] | None:
    """Files by id that an existing copy holds; None if none is named (see `fetch`)."""
    copy = _find_copy(folder)
    if copy is None:
        return None
    return {name: copy / p for name, p in paths.items() if (copy / p).is_file()}


def shifts(*, folder: str = "", base_url: str = BASE_URL) -> dict[str, tuple[float, float]]:
    """Shifts between TSEM and SEM micrographs, in pixels, by id.

    Returns:
      (dy, dx) for each id: a point at (row, col) of the TSEM micrograph lies at (row + dy,
      col + dx) of the SEM micrograph.
    """
    files = available(shift_paths(), folder=folder, base_url=base_url)
    return {name: _read_shift(file) for name, file in files.items()}


def _read_shift(path: Path) -> tuple[float, float]:
    """(dy, dx) of a registration: translations one after the other."""
    dy = dx = 0.0
    try:
        for transform in ElementTree.parse(path).iter("iict_transform"):
            *linear, x, y = (float(v) for v in transform.get("data", "").split())
            if linear not in ([], [1, 0, 0, 1]):
                raise ValueError(f"it rotates or scales by {linear}")
            dy, dx = dy + y, dx + x
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f"{path} is no registration by a shift ({error}); get the published file again"
        ) from error
    return dy, dx


def _find_copy(folder: str) -> Path | None:
    """Folder of an existing copy, None if none is named."""
    name = folder or os.environ.get(ENVIRONMENT, "")
    if not name:
        return None
    copy = Path(name).expanduser()
    if not copy.is_dir():
        source = "data.folder" if folder else f"the environment variable {ENVIRONMENT}"
        raise FileNotFoundError(
            f"no folder {copy}, named by {source} as a copy of the TiO2 data; correct or unset it. "
            f"{BY_HAND}"
        )
    return copy


def _complete(cache: Path, paths: list[str], base_url: str) -> None:
    """Downloads and verifies the files that the cache has not verified yet."""
    notes = cache / "verified.json"
    verified = _read_notes(notes)
    pending = [p for p in dict.fromkeys(paths) if _describe(cache, p) != verified.get(p)]
    if not pending:
        return
    console = Console(stderr=True)
    if not all((cache / p).is_file() for p in pending) and not verified:
        console.print(NOTICE, highlight=False)
    pooch.get_logger().setLevel("WARNING")  # a line for each file would tear the progress bar
    fetcher = pooch.create(
        path=cache,
        base_url=base_url,
        registry={p: registry()[p] for p in pending},
        urls={p: base_url + quote(p) for p in pending},
        retry_if_failed=3,
    )
    # The files are small (2 MB): read whole, so that a failure leaves no connection open.
    downloader = pooch.HTTPDownloader(stream=False, timeout=30)
    try:
        for path in track(pending, description="TiO2 data", console=console):
            _fetch_one(fetcher, path, downloader)
            verified[path] = _describe(cache, path)
    finally:
        if verified:
            _write_notes(notes, verified)


def _fetch_one(fetcher: pooch.Pooch, path: str, downloader: pooch.HTTPDownloader) -> None:
    """Downloads to a temporary name, verifies and renames; tries again a few times."""
    try:
        fetcher.fetch(path, downloader=downloader)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise ValueError(
            f"{path} from {fetcher.get_url(path)} is not the published file: its SHA-256 differs "
            f"after several downloads, so it was not kept. {BY_HAND}"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise  # the disk's trouble, not the network's
        raise FileNotFoundError(
            f"cannot fetch {path} of the TiO2 data from {fetcher.get_url(path)} ({error}); check "
            f"the network connection and try again. {BY_HAND}"
        ) from error


def _describe(cache: Path, path: str) -> list:
    """What tells without hashing that a verified file is unchanged; empty if it is not there."""
    try:
        status = (cache / path).stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, registry()[path]]


def _read_notes(notes: Path) -> dict[str, list]:
    try:
        verified = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # missing or damaged: the files are verified once more
    return verified if isinstance(verified, dict) else {}


def _write_notes(notes: Path, verified: dict[str, list]) -> None:
    # Renamed into place, so that a reader never meets half a file.
    part = notes.with_name(f"{notes.name}.{os.getpid()}")
    part.write_text(json.dumps(verified), encoding="utf-8")
    part.replace(notes)
