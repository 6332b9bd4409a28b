"""`docs/settings.md` says what `semjax/settings.py` says."""

import ast
import importlib.util
from pathlib import Path

import pytest

from semjax import settings
from semjax.variants import VARIANTS

ROOT = Path(__file__).parents[1]
COMMAND = "python docs/make_settings.py"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs/make_settings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flatten(config, prefix=""):
    """Dotted names and values; an empty section counts as a setting."""
    for name, value in config.items():
        if hasattr(value, "items") and len(value):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_page_is_what_the_settings_give(maker):
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == maker.write(), f"docs/settings.md is out of date; run: {COMMAND}"


def test_every_setting_is_read_with_its_value(maker):
    found = {s.path: s.default for s in maker.read()}
    expected = dict(flatten(settings.get_config()))
    for empty in ("fixed", "rows"):
        assert found.pop(empty) == "ConfigDict()"
        del expected[empty]
    assert {path: ast.literal_eval(text) for path, text in found.items()} == expected


def test_every_setting_is_explained(maker):
    silent = [setting.path for setting in maker.read() if not setting.meaning]
    assert not silent, f"settings without a comment in semjax/settings.py: {', '.join(silent)}"


def test_the_page_has_a_row_of_five_cells_for_each_setting(maker):
    rows = [line for line in maker.write().splitlines() if line.startswith("| `")]
    assert len(rows) == len(maker.read())
    for row in rows:
        assert row.count("|") == 6, f"a bar in a comment breaks the table: {row}"


def test_what_the_variants_change_is_shown(maker):
    rows = {line.split("`")[1]: line for line in maker.write().splitlines() if line[:3] == "| `"}
    for name in maker.SHOWN:
        for path, value in VARIANTS[name].items():
            shown = f"{name} `{value!r}`" in rows[path]
            assert shown == (value != maker._default(path)), f"{path} of {name}"
    assert set(maker.SHOWN) == set(VARIANTS)
