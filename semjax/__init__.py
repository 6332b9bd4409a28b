"""From electron micrographs and a few particle outlines to a size distribution, in JAX."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semjax.api import load, measure, score, segment

__all__ = ["load", "measure", "score", "segment"]

try:
    __version__ = version("semjax")
except PackageNotFoundError:  # used from a copy that was never installed
    __version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The verbs of `semjax.api`, imported only when one is used: JAX takes seconds to start."""
    if name in __all__:
        from semjax import api

        return getattr(api, name)
    raise AttributeError(f"module 'semjax' has no attribute {name!r}")
