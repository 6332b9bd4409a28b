"""The house keeps its own rules: who imports whom, sizes of files, forms of functions."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "semjax"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL = [ROOT / "launch.py", *sorted((ROOT / "configs").glob("*.py")), *SOURCES]
ALL += sorted((ROOT / "tests").rglob("*.py"))

# A library, and the only places (files or folders of the package) that may import it.
ONLY = {
    "flax.linen": ("networks",),
    "orbax": ("checkpoints.py", "processes.py"),
    "grain": ("data",),
    "pooch": ("data", "devices.py"),
    "ml_collections": (
        "stages",
        "commands",
        "audit.py",
        "given.py",
        "inputs.py",
        "marks.py",
        "pipeline.py",
        "rows.py",
        "settings.py",
        "truth.py",
        "validate.py",
        "variants.py",
    ),
}
# A part of the package, and what it must not import.
NEVER = {
    "networks": ("semjax.learners", "semjax.stages", "semjax.training", "optax"),
    "learners": ("semjax.stages", "semjax.data", "semjax.workdir", "semjax.report"),
    "analysis": ("jax", "flax", "semjax.learners", "semjax.stages", "semjax.networks"),
    "synth": ("semjax.stages", "semjax.phantom", "semjax.learners", "semjax.data"),
    "phantom": ("semjax.synth", "semjax.stages", "semjax.learners", "jax"),
    "data/images.py": ("jax",),
    "data": ("semjax.stages", "semjax.learners", "semjax.networks"),
    "report": ("semjax.stages", "semjax.learners", "semjax.networks"),
    "predict.py": ("semjax.learners", "semjax.training", "semjax.stages", "optax"),
    "losses.py": ("semjax.networks", "semjax.learners"),
    "optimizers.py": ("semjax.networks", "semjax.learners"),
    "workdir.py": ("semjax", "jax"),
    "types.py": ("semjax",),
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Dotted names of everything that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(path, places):
    inside = path.relative_to(PACKAGE).as_posix()
    return any(inside == place or inside.startswith(f"{place}/") for place in places)


def is_part(module, of):
    return module == of or module.startswith(f"{of}.")


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_imports_keep_to_the_layers(path):
    for module in imports(path):
        for library, places in ONLY.items():
            allowed = within(path, places) or not is_part(module, library)
            assert allowed, f"{name(path)} imports {module}; only {', '.join(places)} may"
        for part, forbidden in NEVER.items():
            if within(path, (part,)):
                bad = [of for of in forbidden if is_part(module, of)]
                assert not bad, f"{name(path)} imports {module}"
        if within(path, ("stages",)):
            assert not is_part(module, "semjax.stages"), f"{name(path)}: a stage imports a stage"


@pytest.mark.parametrize("path", ALL, ids=name)
def test_file_is_short_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    if "tests" not in path.parts:
        assert ast.get_docstring(parse(path)), f"{name(path)} has no docstring"
    if not path.samefile(__file__):
        assert not re.search(r"\b(TODO|FIXME|XXX|from __future__)\b", text)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_keys_are_keyword_only(path):
    # Not those inside: a learner's `init` and `step` are called by `fit` alone.
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            # First it may stand, as in jax.random; anywhere else it is given by name.
            assert "key" not in positional[1:], f"{name(path)}: {node.name}(…, key) by position"


def test_launch_is_a_few_lines():
    assert len((ROOT / "launch.py").read_text().splitlines()) <= 15
