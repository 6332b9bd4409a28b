"""The work folder: where every artifact lies, and how files are written so that none is half."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

STAGES = ("shapes", "masks", "translate", "filter", "segment", "classify", "measure", "score")


class Work:
    """A work folder. Every property is a path; nothing is created by asking for it.

    Raises:
        ValueError: the path is an address such as `gs://…`.
    """

    def __init__(self, path: str | Path):
        check_local(str(path))
        self.path = Path(path).expanduser().absolute()

    def stage(self, name: str) -> Path:
        """The folder of a stage, numbered in the order of the workflow: `5_segment`."""
        return self.path / f"{STAGES.index(name) + 1}_{name}"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    # Inputs that the phantom draws: micrographs, outlines and the truth.
    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    # The folders of the stages.
    @property
    def shapes(self) -> Path:
        return self.stage("shapes")

    @property
    def masks(self) -> Path:
        return self.stage("masks")

    @property
    def translate(self) -> Path:
        return self.stage("translate")

    @property
    def filter(self) -> Path:
        return self.stage("filter")

    @property
    def segment(self) -> Path:
        return self.stage("segment")

    @property
    def classify(self) -> Path:
        return self.stage("classify")

    @property
    def measure(self) -> Path:
        return self.stage("measure")

    @property
    def score(self) -> Path:
        return self.stage("score")

    # The model for further images, in one folder to hand on.
    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def outlines(self) -> Path:
        return self.shapes / "outlines.npz"

    def create(self) -> None:
        """Makes the folder and proves that it can be written.

        Raises:
            PermissionError: it cannot; the message says why.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as file:
                file.write(b"semjax")
        except OSError as error:
            raise PermissionError(
                f"the work folder {self.path} cannot be written ({error.strerror or error}); "
                "give --workdir a folder of yours on a disk with room"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run out of the folder; the lock ends with the process.

        Raises:
            ValueError: another run works in the folder.
        """
        with (self.path / ".lock").open("w") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ValueError(
                        f"another run is working in {self.path}; wait for it, end it, "
                        "or give --workdir another folder"
                    ) from None
                except OSError:
                    pass  # a mounted bucket may know no locks
            yield


def check_local(path: str) -> None:
    """Refuses addresses: all code below reads and writes ordinary files.

    Raises:
        ValueError: `path` is an address; the message says how to mount it.
    """
    address = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", path)
    if address is None:
        return
    mounts = {
        "gs": "gcsfuse BUCKET /mnt/bucket",
        "s3": "rclone mount s3:BUCKET /mnt/bucket --vfs-cache-mode=writes",
    }
    mount = mounts.get(
        address[1].lower(), "rclone mount REMOTE:PATH /mnt/bucket --vfs-cache-mode=writes"
    )
    raise ValueError(
        f"{path} is an address, but a folder on a disk is needed; mount it first "
        f"(`{mount}`) and give the path under /mnt/bucket"
    )


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all: a temporary file beside it takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, as `write_text` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all; NumPy numbers and arrays become plain."""
    write_text(path, json.dumps(value, indent=2, default=_plain) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to have it made again") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
