"""Tables and facts of measured folders: what a spreadsheet or a stranger may have put there."""

import json

import pandas as pd
import pytest

from semjax import tables, workdir

GOOD = {"image": "0012", "label": 1, "kept": "True", "min_feret_nm": 12.5, "class_score": 0.25}


def write(path, **changes):
    pd.DataFrame([GOOD, GOOD | {"label": 2} | changes]).to_csv(path, index=False)
    return path


def test_cells_keep_their_kinds(tmp_path):
    table = tables.read_table(write(tmp_path / "particles.csv", kept="false", class_score=None))
    assert list(table["image"]) == ["0012", "0012"]
    assert table["kept"].dtype == bool and list(table["kept"]) == [True, False]
    assert table["class_score"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *(("image", name) for name in ("../../a", "/etc/a", r"a\b", "", "..")),
        *(("label", number) for number in (0, -1, 1.5, "x", 2**40, None, "9" * 400)),
        *(("kept", text) for text in ("", "x", 1, "nan")),
        *(("min_feret_nm", number) for number in (0, -3, "x", float("inf"), 1e300, None)),
        *(("class_score", number) for number in ("x", float("inf"), "9" * 400)),
    ],
)
def test_a_cell_that_cannot_be_is_named(tmp_path, column, cell):
    path = write(tmp_path / "particles.csv", **{column: cell})
    with pytest.raises(
        ValueError, match=rf"particles.csv, line 3: {column} cannot be .*; put back"
    ):
        tables.read_table(path)


def test_rows_of_more_cells_than_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("image,label\na,1,2\nb,2,3\n")
    with pytest.raises(ValueError, match="a.csv has rows of more cells"):
        tables.read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b'image,label\n"a,1\n'])
def test_no_table_is_refused_with_a_cure(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.csv cannot be read as a table .*; measure again"):
        tables.read_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("unit", value) for value in ("mm", None, {"a": 1})),
        *(("seed", value) for value in (0.5, "1", True, -1)),
        *(("nano_nm", value) for value in (0, float("nan"), float("inf"), "1")),
        *(("images", value) for value in ([], {"a": 1})),
    ],
)
def test_a_fact_that_cannot_be_is_named(tmp_path, name, value):
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({"unit": "nm", "seed": 0, name: value}))
    with pytest.raises(ValueError, match=rf"measured.json: {name} cannot be .*; measure again"):
        tables.read_facts(path)


def test_facts_are_an_object(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="a.json holds no JSON object"):
        tables.read_facts(tmp_path / "a.json")


def test_json_without_bottom_is_damaged(tmp_path):
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="a.json is damaged"):
        workdir.read_json(tmp_path / "a.json")
