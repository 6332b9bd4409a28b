"""What this machine has and lacks: Python, libraries, devices, memory, disk, and how fast it is."""

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from semjax import hugepages, variants

GIB = 2**30
OLDEST_PYTHON = (3, 11)
OLDEST_PIP = (25, 1)  # which knows dependency groups
LEAST_MEMORY, GOOD_MEMORY = 3 * GIB, 8 * GIB
LEAST_DISK, GOOD_DISK = 2 * GIB, 20 * GIB
STACK = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scikit-image")
# An extra, and the module that shows that it is installed.
EXTRAS = {
    "cuda": "jax_cuda13_plugin",
    "cuda12": "jax_cuda12_plugin",
    "tpu": "libtpu",
    "tensorboard": "tensorboardX",
    "napari": "napari",
    "formats": "rsciio",
    "notebooks": "jupyterlab",
    "onnx": "onnxruntime",
    "bioimageio": "bioimageio",
}


class Check(NamedTuple):
    """One thing looked at: its state (ok, note, bad), what was found, and what to do."""

    name: str
    state: str
    found: str
    cure: str = ""


def check_python(running: Sequence[int] = sys.version_info) -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, running[:3]))
    if tuple(running[:2]) < OLDEST_PYTHON:
        return Check("Python", "bad", found, "install Python 3.11 or newer")
    return Check("Python", "ok", found)


def check_pip(installed: str | None) -> Check:
    """The installer; None if there is none."""
    if installed is None:
        return Check("pip", "ok", "none: another installer is used")
    numbers = tuple(int(part) for part in installed.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_PIP:
        cure = "pip install -U pip (needed for the tests' dependency groups only)"
        return Check("pip", "note", installed, cure)
    return Check("pip", "ok", installed)


def check_stack(installed: Mapping[str, str | None]) -> Check:
    """The libraries that everything needs, by name with their version; None if missing."""
    missing = [name for name, found in installed.items() if found is None]
    text = ", ".join(f"{name} {found or 'missing'}" for name, found in installed.items())
    if missing:
        return Check("libraries", "bad", text, f"pip install -U semjax {' '.join(missing)}")
    return Check("libraries", "ok", text)


def check_extras(installed: Mapping[str, bool]) -> Check:
    """The optional parts; none of them is missed."""
    have = [name for name, there in installed.items() if there]
    lack = [name for name, there in installed.items() if not there]
    found = f"{', '.join(have) or 'none'}; not installed: {', '.join(lack) or 'none'}"
    return Check("extras", "ok", found)


def check_devices(
    devices: Sequence, try_out: Callable, *, nvidia: bool, tpu: bool = False
) -> list[Check]:
    """Each device that JAX sees, with a small computation on it, and those that it does not see.

    Args:
        devices: of JAX.
        try_out: computes something on a device and raises an error if that fails.
        nvidia: there is an NVIDIA GPU in this machine.
        tpu: there is a TPU.
    """
    made = []
    for device in devices:
        name = f"{device.platform} {device.id}: {device.device_kind}"
        try:
            try_out(device)
            made.append(Check("device", "ok", f"{name}, computes"))
        except Exception as error:  # whatever a driver raises
            said = (str(error).splitlines() or [type(error).__name__])[0]
            cure = "update the driver, end other programs on it, or set JAX_PLATFORMS=cpu"
            made.append(Check("device", "bad", f"{name}, does not compute: {said}", cure))
    platforms = {device.platform for device in devices}
    for there, platform, word, extra in (
        (nvidia, "gpu", "an NVIDIA GPU", "cuda"),
        (tpu, "tpu", "a TPU", "tpu"),
    ):
        if there and platform not in platforms:
            cure = f"pip install -U 'semjax[{extra}]', and leave JAX_PLATFORMS unset"
            made.append(Check("device", "note", f"{word} is there, but JAX does not see it", cure))
    return made


def check_memory(available: float | None) -> Check:
    """Memory that is free for a run, in bytes; None if the system does not say."""
    if available is None:
        return Check("memory", "ok", "not known")
    found = f"{available / GIB:.1f} GiB available"
    if available < LEAST_MEMORY:
        return Check("memory", "bad", found, "end other programs; a run needs 3 GiB or more")
    if available < GOOD_MEMORY:
        cure = "enough for the variant cpu; end other programs for larger tiles"
        return Check("memory", "note", found, cure)
    return Check("memory", "ok", found)


def check_disk(folder: Path, free: float) -> Check:
    """Bytes free where the work folders are written."""
    found = f"{free / GIB:.1f} GiB free in {folder}"
    if free < LEAST_DISK:
        return Check("disk", "bad", found, "make room, or give --workdir a folder on another disk")
    if free < GOOD_DISK:
        return Check("disk", "note", found, "a full run takes up to 10 GiB: watch it")
    return Check("disk", "ok", found)


def check_folder(name: str, folder: Path, cure: str) -> Check:
    """Whether a folder can be made and written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"semjax")
    except OSError as error:
        reason = error.strerror or str(error)
        return Check(name, "bad", f"{folder} cannot be written ({reason})", cure)
    return Check(name, "ok", str(folder))


def check_pages(possible: bool, *, platform: str) -> Check:
    """Large memory pages, which make training on a CPU up to a third faster."""
    if platform != "cpu":
        return Check("large pages", "ok", "not needed beside an accelerator")
    if possible:
        return Check("large pages", "ok", "`semjax run` uses them")
    cure = (
        "Linux with glibc 2.35: as root, echo madvise > "
        "/sys/kernel/mm/transparent_hugepage/enabled; leave GLIBC_TUNABLES unset"
    )
    return Check("large pages", "note", "not available: training takes up to half longer", cure)


def usable(checks: Sequence[Check]) -> bool:
    """Whether a run can work: no check is bad but those of devices, if another one computes."""
    computes = any(c.name == "device" and c.state == "ok" for c in checks)
    return computes and not any(c.state == "bad" and c.name != "device" for c in checks)


# --- what this machine has


def installed(names: Sequence[str]) -> dict[str, str | None]:
    """Versions of packages by name; None for those that are missing."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def extras() -> dict[str, bool]:
    """Which of the extras are installed."""
    return {name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()}


def has_nvidia() -> bool:
    """Whether there is an NVIDIA GPU with its driver."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def has_tpu() -> bool:
    """Whether there is a TPU of a Cloud TPU VM."""
    return any(Path("/dev").glob("accel[0-9]*"))


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")):
    """Bytes that a program can still get, container limits included; None if not known."""
    found = []
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024.0 * int(line.split()[1]))
    except (OSError, ValueError):
        pass
    try:
        limit = float((cgroup / "memory.max").read_text())  # "max" is no number
        used = float((cgroup / "memory.current").read_text())
        for line in (cgroup / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):  # cached files, which give way
                used -= float(line.split()[1])
        found.append(limit - used)
    except (OSError, ValueError):
        pass
    return min(found) if found else None


def compute_on(device) -> None:
    """A small jitted computation on a device, with its result checked."""
    import jax
    import numpy as np

    made = jax.jit(lambda x: (x @ x).sum())(jax.device_put(np.ones((64, 64), np.float32), device))
    if float(made) != 64.0**3:
        raise ArithmeticError(f"64 cubed came out as {float(made)}")


def check_all(folder: Path) -> list[Check]:
    """All checks of this machine, for work folders in `folder`."""
    checks = [
        check_python(),
        check_pip(installed(["pip"])["pip"]),
        check_stack(installed(STACK)),
        check_extras(extras()),
    ]
    try:
        import jax

        from semjax.devices import cache_folder

        devices = jax.devices()
        platform = devices[0].platform
        checks += check_devices(devices, compute_on, nvidia=has_nvidia(), tpu=has_tpu())
        cure = "give JAX_COMPILATION_CACHE_DIR a folder of yours, or programs compile at each start"
        checks.append(check_folder("cache", cache_folder(), cure))
    except (ImportError, RuntimeError) as error:
        platform = "cpu"
        cure = "pip install -U semjax; JAX_PLATFORMS names devices that are there, or is unset"
        checks.append(Check("device", "bad", f"JAX finds none: {error}", cure))
    checks += [
        check_memory(available_memory()),
        check_disk(folder, shutil.disk_usage(folder).free),
        check_folder("work folder", folder, "give --workdir a folder of yours"),
        check_pages(hugepages.possible() or hugepages.used(), platform=platform),
    ]
    return checks


# --- how long a run takes


# Operations of all trainings in 1e15, as XLA counts them (python -m benchmarks.cost).
PETAFLOP = {"cpu": 0.154, "gpu": 115.0, "v100": 56.0, "v120": 237.0}
# Share of the benchmark's speed that a whole run reaches, an assumption: a single convolution is
# about twice as fast as a training. A whole run of the variant cpu did 41 GFLOP/s on two cores
# without AVX-512, an earlier one 100 GFLOP/s on two with it.
REACHED = 0.5


def measure_speed() -> float:
    """Operations a second of convolutions like those of the networks, forwards and backwards."""
    import jax
    import jax.numpy as jnp

    accelerator = jax.devices()[0].platform != "cpu"
    channels, side, dtype = (256, 96, jnp.bfloat16) if accelerator else (64, 32, jnp.float32)
    x = jnp.ones((2, side, side, channels), dtype)
    w = jnp.full((3, 3, channels, channels), 1e-3, dtype)

    def loss(w, x):
        for _ in range(4):
            dims = ("NHWC", "HWIO", "NHWC")
            x = jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", None, None, dims))
        return x.astype(jnp.float32).mean()

    step = jax.jit(jax.grad(loss, argnums=(0, 1)))
    jax.block_until_ready(step(w, x))
    times = []
    began = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < 1.0:
        start = time.perf_counter()
        jax.block_until_ready(step(w, x))
        times.append(time.perf_counter() - start)
    operations = 3 * 4 * 2 * x.size * 9 * channels  # forwards once, backwards twice
    return operations / min(times)


def expect(variant: str, speed: float) -> float:
    """Minutes that a variant would take: an estimate.

    Args:
        variant: one of `variants.VARIANTS`.
        speed: of `measure_speed`.
    """
    return PETAFLOP[variant] * 1e15 / (speed * REACHED) / 60


def say_minutes(minutes: float) -> str:
    """A time in words."""
    if minutes < 90:
        return f"about {minutes:.0f} minutes"
    if minutes < 48 * 60:
        return f"about {minutes / 60:.0f} hours"
    return f"about {minutes / 60 / 24:.0f} days"


def estimates(speed: float) -> dict[str, str]:
    """The time of each variant in words."""
    return {name: say_minutes(expect(name, speed)) for name in variants.VARIANTS}
