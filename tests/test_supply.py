"""What semjax needs from others: declared, used, and under licences that ask nothing of users."""

import ast
import re
import sys
import tomllib
from importlib.metadata import metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Distributions that are not called as they are imported.
DISTRIBUTION = {
    "PIL": "pillow",
    "absl": "absl-py",
    "bioimageio": "bioimageio.core",
    "orbax": "orbax-checkpoint",
    "rsciio": "rosettasciio",
    "skimage": "scikit-image",
}
PERMISSIVE = re.compile(r"Apache|BSD|MIT|PSF|Python Software Foundation|Zlib|ISC", re.IGNORECASE)
# Others, and why they may be there.
LICENCES = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged; the MPL covers its own files only",
}


def imported():
    """Top-level names that the package imports, of others than Python and itself."""
    found = set()
    for path in (ROOT / "semjax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"semjax"}


def names(requirements):
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    used = {canonicalize_name(DISTRIBUTION.get(name, name)) for name in imported()}
    always = names(PROJECT["dependencies"])
    extras = names(sum(PROJECT["optional-dependencies"].values(), []))
    assert used <= always | extras
    assert always <= used


def test_every_bound_has_a_lower_end():
    extras = sum(PROJECT["optional-dependencies"].values(), [])
    for line in PROJECT["dependencies"] + extras:
        requirement = Requirement(line)
        own = canonicalize_name(requirement.name) in {"jax", "semjax", "pydantic"}
        assert ">=" in str(requirement.specifier) or (own and line in extras), line


def test_the_lock_file_holds_every_dependency_within_its_bounds():
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    locked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert not [str(line) for line in locked if line.url]
    assert all(line.startswith("#") or re.match(r"[\w.-]+==[\w.]+( ;|$)", line) for line in lines)
    for needed in map(Requirement, PROJECT["dependencies"]):
        name = canonicalize_name(needed.name)
        pins = [line.specifier for line in locked if canonicalize_name(line.name) == name]
        versions = [pin.version for specifier in pins for pin in specifier]
        assert versions and all(needed.specifier.contains(v) for v in versions), needed


def default_install():
    """Names of all distributions that `pip install semjax` brings here."""
    found, todo = set(), [Requirement(line) for line in PROJECT["dependencies"]]
    while todo:
        requirement = todo.pop()
        extras = requirement.extras or {""}
        name = canonicalize_name(requirement.name)
        if (name, *sorted(extras)) in found:
            continue
        found.add((name, *sorted(extras)))
        for needed in map(Requirement, requires(name) or []):
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)
    return sorted({name for name, *_ in found})


def licence(name):
    """The licence as its distribution names it; not the full text that a few give instead."""
    given = metadata(name)
    said = [given.get("License-Expression") or ""]
    said += [c for c in given.get_all("Classifier") or [] if c.startswith("License ::")]
    return "; ".join(filter(None, said)) or (given.get("License") or "").split("\n")[0]


def test_licences_of_the_default_install():
    installed = default_install()
    assert len(installed) > len(PROJECT["dependencies"])
    for name in installed:
        if name not in LICENCES:
            assert PERMISSIVE.search(licence(name)), f"{name}: {licence(name)!r}"
            assert "GPL" not in licence(name), f"{name}: {licence(name)!r}"
