"""From electron micrographs and a few particle outlines to a size distribution, in JAX."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("semjax")
except PackageNotFoundError:  # used from a copy that was never installed
    __version__ = "0.1.0"
