"""`semjax export`: what it refuses, and that it replaces nothing unasked."""

import pytest

from semjax.main import console

PACKAGE = ["--bioimageio", "--name=Particles", "--author=A", "--license=MIT"]


@pytest.mark.parametrize(
    "given, said",
    [
        ([], "MODEL is missing"),
        (["a", "b", "--out=o", "--onnx"], "expected one model, got a and b"),
        (["a", "--onnx"], "--out=DIR is missing"),
        (["a", "--out=o"], "nothing to write: give --onnx, --jax or --bioimageio"),
        (["a", "--out=o", "--bioimageio", "--name=N"], "needs --author and --license"),
        (["a", "--out=o", "--onnx", "--license=MIT"], "--license belongs to --bioimageio"),
        (["a", "--out=o", "--onx"], "onx"),
    ],
)
def test_a_command_that_lacks_something_says_what(given, said, capsys):
    assert console(["export", *given]) == 2
    assert said in capsys.readouterr().err


def test_no_file_is_replaced_unless_asked(tmp_path, capsys):
    (tmp_path / "classifier.onnx").write_text("mine")
    (tmp_path / "segmenter.bioimageio.zip").write_text("mine too")
    assert console(["export", "model", f"--out={tmp_path}", "--onnx", *PACKAGE]) == 1
    said = capsys.readouterr().err
    assert "classifier.onnx" in said and "segmenter.bioimageio.zip" in said
    assert "--overwrite" in said and "segmenter.onnx" not in said
    assert (tmp_path / "classifier.onnx").read_text() == "mine"


def test_a_folder_without_a_model_is_named_and_no_folder_is_made(tmp_path, capsys):
    assert console(["export", str(tmp_path), f"--out={tmp_path / 'out'}", "--onnx"]) == 1
    assert f"no model in {tmp_path}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_names_every_flag(capsys):
    assert console(["export", "--help"]) == 0
    said = capsys.readouterr().out
    flags = "out onnx jax bioimageio name author license sample overwrite verbosity".split()
    assert all(f"--{flag}" in said for flag in flags)
