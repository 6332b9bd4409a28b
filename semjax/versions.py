"""Which versions of Python and of the libraries made a result."""

import platform
from importlib.metadata import version

LIBRARIES = ("semjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def collect() -> dict[str, str]:
    """Versions by name; "not installed" for semjax itself when it runs from a mere copy."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except ImportError:
            found[library] = "not installed"
    return found
