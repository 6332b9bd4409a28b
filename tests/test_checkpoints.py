"""Checkpoints and model folders: what comes back, and what is refused."""

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from semjax.checkpoints import MODEL_FORMAT, Checkpoints, load_model, save_model
from semjax.data import batches

VARIABLES = {
    "params": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}},
    "batch_stats": {"norm": {"mean": np.zeros(3, np.float32), "count": np.int32(4)}},
}


class State(struct.PyTreeNode):
    step: jax.Array
    params: dict


def make_state(step):
    return State(jnp.asarray(step), {"w": jnp.full((2, 2), float(step))})


def make_batches():
    return batches.training(5, lambda index, generator: np.float32(index), batch_size=2, seed=0)


def test_the_newest_state_and_the_data_position_come_back(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest is None
    stream = make_batches()
    for step in (3, 6):
        next(stream)
        checkpoints.save(step, make_state(step), stream)
    checkpoints.close()
    following = [next(stream) for _ in range(4)]

    checkpoints, stream = Checkpoints(tmp_path / "checkpoints"), make_batches()
    assert checkpoints.latest == 6
    state = checkpoints.restore(6, make_state(0), stream)
    assert state.step == 6 and state.params["w"].tolist() == [[6.0, 6.0], [6.0, 6.0]]
    assert np.array_equal([next(stream) for _ in range(4)], following)
    checkpoints.close()


def test_a_step_that_is_saved_is_not_saved_again(tmp_path):
    checkpoints, stream = Checkpoints(tmp_path), make_batches()
    checkpoints.save(2, make_state(2), stream)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    checkpoints.save(2, make_state(5), stream)
    checkpoints.close()
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_model_folder_comes_back_as_written(tmp_path):
    folder = tmp_path / "new" / "model"
    save_model(folder, variables=VARIABLES, network="unet", threshold=0.25, tile_px=(8, 8))
    settings, variables = load_model(folder)
    assert settings == {"network": "unet", "threshold": 0.25, "tile_px": [8, 8]}
    assert jax.tree.structure(variables) == jax.tree.structure(VARIABLES)
    for found, expected in zip(*map(jax.tree.leaves, (variables, VARIABLES)), strict=True):
        assert found.dtype == np.asarray(expected).dtype
        assert np.array_equal(found, expected)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "variables.npz"]
    assert json.loads((folder / "config.json").read_text())["format"] == MODEL_FORMAT


def test_a_model_replaces_an_earlier_one(tmp_path):
    save_model(tmp_path, variables=VARIABLES, threshold=0.5)
    save_model(tmp_path, variables={"params": {"w": np.ones(2)}}, threshold=0.7)
    settings, variables = load_model(tmp_path)
    assert settings == {"threshold": 0.7}
    assert variables["params"]["w"].tolist() == [1.0, 1.0] and len(variables) == 1


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_model(tmp_path / name, variables=VARIABLES, threshold=0.5)
    for name in ("config.json", "variables.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("missing", ["config.json", "variables.npz"])
def test_half_a_model_is_none(missing, tmp_path):
    save_model(tmp_path, variables=VARIABLES)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"no model in .*{tmp_path.name}"):
        load_model(tmp_path)


def test_a_model_of_a_newer_format_is_refused(tmp_path):
    save_model(tmp_path, variables=VARIABLES)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(f'"format": {MODEL_FORMAT}', '"format": 99'))
    with pytest.raises(ValueError, match="newer semjax"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "variables.npz"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_damaged_model_is_refused_by_name(name, kept, tmp_path):
    save_model(tmp_path, variables=VARIABLES, threshold=0.5)
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content[: round(kept * len(content))])
    with pytest.raises(ValueError, match=name):
        load_model(tmp_path)


class Trap:
    """Says so if anyone unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("something in a model folder was executed",))


def test_nothing_in_a_model_is_executed(tmp_path):
    save_model(tmp_path, variables=VARIABLES)
    np.savez(tmp_path / "variables.npz", **{"params/w": np.array([Trap()], object)})
    with pytest.raises(ValueError, match="variables.npz"):
        load_model(tmp_path)
    (tmp_path / "variables.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="variables.npz"):
        load_model(tmp_path)
