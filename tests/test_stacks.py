"""Stacks of pictures in one file."""

import numpy as np
import pytest
import tifffile

from semjax import stacks


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_a_stack_comes_back_as_written(n, dtype, tmp_path):
    stack = np.random.default_rng(0).integers(0, 200, (n, 6, 5)).astype(dtype)
    stacks.write(tmp_path / "stack.tif", stack)
    found = stacks.read(tmp_path / "stack.tif")
    assert found.dtype == dtype and np.array_equal(found, stack)
    with tifffile.TiffFile(tmp_path / "stack.tif") as file:
        assert len(file.pages) == n  # three or four pages are no colours
    assert [path.name for path in tmp_path.iterdir()] == ["stack.tif"]


def test_a_missing_stack_names_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match="fakes.tif is missing.*earlier stages"):
        stacks.read(tmp_path / "fakes.tif")
