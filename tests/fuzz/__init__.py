"""Damaged, absurd and hostile input for everything that is read: `python -m tests.fuzz`.

Each kind of input has a file with `make(rng, folder)`, which writes one case into an empty folder,
and `READERS`, functions of that folder that read it as the program does. A reader may return, or
refuse with one clear sentence (`verdict` says what that is). All of a case follows from the seed,
the kind and the case's number.
"""

import importlib
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np

# Kinds of input, and the share of the cases that each gets.
KINDS = {
    "pictures": 0.36,  # micrographs of all formats with tags and side files
    "masks": 0.1,  # masks, label images and class masks
    "rois": 0.14,  # .roi and zips of them
    "drawings": 0.14,  # LabelMe and COCO
    "tables": 0.105,  # measured folders, edits and answers
    "models": 0.06,  # model folders
    "settings": 0.07,  # config overrides, config.json
    "published": 0.02,  # registrations and notes of the published data
    "batches": 0.005,  # the command line with good files among bad ones
}
LONGEST = 700  # characters of a message


def load(kind: str) -> ModuleType:
    """The file of a kind."""
    return importlib.import_module(f"tests.fuzz.{kind}")


def rng_of(seed: int, kind: str, number: int) -> np.random.Generator:
    """The random numbers of one case."""
    return np.random.default_rng([seed, zlib.crc32(kind.encode()), number])


def run(kind: str, seed: int, number: int, folder: Path) -> dict[str, str]:
    """Makes a case in an empty folder and reads it.

    Returns:
        `read`, `refused` or what is wrong, by the reader's name.
    """
    module = load(kind)
    module.make(rng_of(seed, kind, number), folder)
    found = {}
    for reader in module.READERS:
        try:
            reader(folder)
            found[reader.__name__] = "read"
        except Exception as error:
            found[reader.__name__] = verdict(error, folder)
    return found


def verdict(error: Exception, folder: Path) -> str:
    """`refused` for a clear sentence, otherwise what is wrong with it.

    A clear sentence is a ValueError or an OSError itself (no error of a library that is one by
    descent), names a file or folder of the case, says what to do after a semicolon, is not long,
    and does not come from memory or recursion that ran out.
    """
    text, kind = str(error), type(error)
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, MemoryError):
            return f"needs more memory than there is: {text}"
        chain = chain.__cause__ or chain.__context__
    ours = kind is ValueError or (isinstance(error, OSError) and kind.__module__ == "builtins")
    if not ours:
        return f"{kind.__name__}: {text}"
    names = {folder.name, *(path.name for path in folder.rglob("*"))}
    if not any(name in text for name in names):
        return f"names no file: {text}"
    if ";" not in text:
        return f"says no cure: {text}"
    if len(text) > LONGEST or "Traceback" in text:
        return f"is no clear sentence: {text}"
    return "refused"
