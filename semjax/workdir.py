"""The work folder: where every artifact lies, and how files are written so that none is half."""

import errno
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

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
                f"the folder {self.path} cannot be written ({error.strerror or error}); "
                "give another, of yours and on a disk with room"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run out of the folder; the lock ends with the process.

        `.lock` says which run holds it. What a killed run has left there is seen through on the
        same machine; of another machine's run nobody here can say whether it still works.

        Raises:
            ValueError: another run works in the folder, or may do so on another machine.
        """
        path = self.path / ".lock"
        with explained(path):
            file = path.open("a+", encoding="utf-8")
        with file:
            self._acquire(file)
            file.seek(0)
            file.truncate()
            with explained(path):
                json.dump(_describe_process(), file)
                file.flush()
            try:
                yield
            finally:
                with suppress(OSError):  # the disk may be full or gone
                    file.seek(0)
                    file.truncate()

    def _acquire(self, file: IO[str]) -> None:
        locked = False
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
        except BlockingIOError:
            raise ValueError(self._name_other(_read_owner(file))) from None
        except OSError:
            pass  # a mounted bucket may know no locks
        owner = _read_owner(file)
        here = _describe_process()
        if not owner:
            return
        if here["machine"] == owner["machine"] or here["host"] == owner["host"]:
            # Left by a killed run, unless this disk knows no locks and the process is there.
            if not locked and here["machine"] == owner["machine"] and _is_alive(owner["process"]):
                raise ValueError(self._name_other(owner))
            return
        raise ValueError(
            f"{self.path} was left locked by a run on another machine ({_name(owner)}), and from "
            f"here nobody can see whether it still works; if it does not, delete "
            f"{self.path / '.lock'} and start again"
        )

    def _name_other(self, owner: dict[str, Any]) -> str:
        who = f" ({_name(owner)})" if owner else ""
        return (
            f"another run is working in {self.path}{who}; wait for it, end it, "
            "or give --workdir (--out of `semjax segment`) another folder"
        )


def _describe_process() -> dict[str, Any]:
    """Who holds a lock. Containers of one machine have other names, but one boot id."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        machine = platform.node()
    return {
        "host": platform.node(),
        "machine": machine,
        "process": os.getpid(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _read_owner(file: IO[str]) -> dict[str, Any]:
    """What a lock says of its holder; empty where nobody has it, or has only just taken it."""
    file.seek(0)
    try:
        owner = json.load(file)
    except ValueError:
        return {}
    known = isinstance(owner, dict) and owner.keys() >= _describe_process().keys()
    return owner if known else {}


def _name(owner: dict[str, Any]) -> str:
    return f"process {owner['process']} on {owner['host']} since {owner['since']}"


def _is_alive(process: Any) -> bool:
    if os.name == "nt":
        return False  # not to be told there: the same call would send it a Ctrl-C
    try:
        os.kill(int(process), 0)  # sends nothing
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True  # another user's
    return True


class CannotWriteError(OSError):
    """A file could not be written; the message says which and what to do."""


CURES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your quota of the disk is used up",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EROFS: "make the disk writable",
    errno.EACCES: "get the right to write there, or give another folder",
    errno.EPERM: "get the right to write there, or give another folder",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an error in writing `path` into one that says what to do.

    Raises:
        CannotWriteError: it could not be written.
    """
    try:
        yield
    except CannotWriteError:
        raise
    except OSError as error:
        cure = CURES.get(error.errno or 0, "see to it")
        raise CannotWriteError(
            f"{path} could not be written ({error.strerror or error}); {cure} and start the same "
            "command again: it goes on, and what was finished before is as it was"
        ) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Writes a file whole or not at all: yields a name beside it, which takes its place at the end.

    Its content is on the disk before its name is, so that a power cut cannot leave an empty file.

    Raises:
        CannotWriteError: it could not be written; an earlier file of this name is still there.
    """
    partial = path.with_name(path.name + ".part")
    with explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)  # it may have taken the last of the room
            raise


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
    """Writes a text file whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content)


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
