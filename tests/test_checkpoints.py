"""Checkpoints and model folders: what comes back, and what is refused."""

import json
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from semjax import predict
from semjax.checkpoints import (
    MODEL_FORMAT,
    Checkpoints,
    load_settings,
    load_variables,
    save_model,
)
from semjax.data import batches

ROOT = Path(__file__).parents[1]
VARIABLES = {
    "params": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}},
    "batch_stats": {"norm": {"mean": np.zeros(3, np.float32), "count": np.int32(4)}},
}
DECLARED = jax.eval_shape(lambda: VARIABLES)


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
    settings, variables = load_settings(folder), load_variables(folder, DECLARED)
    assert settings == {"network": "unet", "threshold": 0.25, "tile_px": [8, 8]}
    assert jax.tree.structure(variables) == jax.tree.structure(VARIABLES)
    for found, expected in zip(*map(jax.tree.leaves, (variables, VARIABLES)), strict=True):
        assert found.dtype == np.asarray(expected).dtype
        assert np.array_equal(found, expected)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "variables.npz"]
    assert json.loads((folder / "config.json").read_text())["format"] == MODEL_FORMAT


def test_a_model_replaces_an_earlier_one(tmp_path):
    save_model(tmp_path, variables=VARIABLES, threshold=0.5)
    later = {"params": {"w": np.ones(2)}}
    save_model(tmp_path, variables=later, threshold=0.7)
    assert load_settings(tmp_path) == {"threshold": 0.7}
    variables = load_variables(tmp_path, later)
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
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("found", "words"),
    [(99, "newer semjax"), (0, "older than any"), ("1", "damaged"), (None, "damaged")],
)
def test_a_model_of_another_format_is_refused(found, words, tmp_path):
    save_model(tmp_path, variables=VARIABLES)
    (tmp_path / "config.json").write_text(json.dumps({"format": found}))
    with pytest.raises(ValueError, match=f"config.json .*{words}"):
        load_settings(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "variables.npz"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_damaged_model_is_refused_by_name(name, kept, tmp_path):
    save_model(tmp_path, variables=VARIABLES, threshold=0.5)
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content[: round(kept * len(content))])
    with pytest.raises(ValueError, match=name):
        load_settings(tmp_path)
        load_variables(tmp_path, DECLARED)


class Trap:
    """Says so if anyone unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("something in a model folder was executed",))


def test_nothing_in_a_model_is_executed(tmp_path):
    save_model(tmp_path, variables=VARIABLES)
    np.savez(tmp_path / "variables.npz", **{"params/w": np.array([Trap()], object)})
    for declared in ({"params": {"w": np.zeros(1)}}, {"params": {"w": np.array([None])}}):
        with pytest.raises(ValueError, match="variables.npz"):
            load_variables(tmp_path, declared)
    (tmp_path / "variables.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="variables.npz"):
        load_variables(tmp_path, DECLARED)


def test_no_checkpoint_is_unpickled(tmp_path, monkeypatch):
    checkpoints, stream = Checkpoints(tmp_path), make_batches()
    checkpoints.save(3, make_state(3), stream)
    checkpoints.close()
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, Trap().__reduce__)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(3, make_state(0), make_batches()).step == 3
    checkpoints.close()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or not re.match(rb"\x80[\x02-\x05]", path.read_bytes()), path


def write_weights(path, *, shape=(2, 2), claimed=None, packed=False, names=("params/w",), value=0):
    """Writes `variables.npz` with one array, whose header may claim another shape."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w") as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": claimed or shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.write(np.full(shape, value, np.float32).tobytes())


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"shape": (2, 3)}, r"w.npy is float32 \(2, 3\), the network .* needs float32 \(2, 2\)"),
        ({"claimed": (10**6, 10**6)}, "needs"),
        ({"claimed": (2, 2), "shape": (1,)}, "EOF"),
        ({"packed": True}, "compressed"),
        ({"names": ("params/w", "params/v")}, "other arrays"),
        ({"names": ("../w",)}, "other arrays"),
        ({"value": np.nan}, "NaN"),
    ],
)
def test_other_weights_than_the_networks_are_refused_before_they_are_read(tmp_path, made, words):
    declared = {"params": {"w": jax.ShapeDtypeStruct((2, 2), np.float32)}}
    write_weights(tmp_path / "variables.npz")
    assert load_variables(tmp_path, declared)["params"]["w"].shape == (2, 2)
    write_weights(tmp_path / "variables.npz", **made)
    with pytest.raises(ValueError, match=f"variables.npz cannot be used .*({words})"):
        load_variables(tmp_path, declared)


def test_what_a_library_says_of_damage_is_cut_short(tmp_path):
    """A file name's length that was spoilt makes zipfile quote the whole file."""
    path = tmp_path / "variables.npz"
    write_weights(path)
    content = bytearray(path.read_bytes())
    content[26:28] = (60_000).to_bytes(2, "little")
    path.write_bytes(bytes(content) + bytes(60_000))
    with pytest.raises(ValueError, match="variables.npz cannot be used .*; copy") as error:
        load_variables(tmp_path, {"params": {"w": jax.ShapeDtypeStruct((2, 2), np.float32)}})
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_a_bomb_does_not_go_off(tmp_path):
    shape = (2**30,)  # 4 GiB of zeros in 4 MiB
    chunk, declared = bytes(2**24), {"params": {"w": jax.ShapeDtypeStruct(shape, np.float32)}}
    with zipfile.ZipFile(tmp_path / "variables.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("params/w.npy", "w") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(4):  # the rest is only claimed
                file.write(chunk)
    with pytest.raises(ValueError, match="compressed"):
        load_variables(tmp_path, declared)


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "multires_unet", "network_kwargs": {"filters": 10**9}},
        {"network": "multires_unet", "network_kwargs": {"filters": -1}},
        {"network": "multires_unet", "network_kwargs": {"filters": "many"}},
        {"network": "multires_unet", "network_kwargs": {"dtype": "object"}},
        {"network": "multires_unet", "network_kwargs": {"parent": 3, "name": "x"}},
        {"network": "multires_unet", "network_kwargs": {"wings": 2}},
        {"network": "multires_unet", "network_kwargs": [1]},
        {"network": "multires_unet"},
        {"network": ["multires_unet"], "network_kwargs": {}},
        {},
    ],
)
def test_a_network_that_cannot_be_is_refused(tmp_path, settings):
    save_model(tmp_path, variables=VARIABLES, **settings)
    with pytest.raises(ValueError, match="(config.json|variables.npz) (declares|cannot)"):
        predict.load(tmp_path)


def test_a_disk_that_is_full_is_named_and_the_last_checkpoint_stays(tmp_path):
    code = (
        "import resource, signal, sys; from tests.test_checkpoints import *\n"
        f"checkpoints, stream = Checkpoints(Path({str(tmp_path)!r})), make_batches()\n"
        "checkpoints.save(1, make_state(1), stream)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "big = State(jnp.asarray(2), {'w': jax.random.normal(jax.random.key(0), (10000,))})\n"
        "try:\n"
        "    checkpoints.save(2, big, stream)\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"{tmp_path / '2'} could not be written (File too large); raise the limit" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(1, make_state(0), make_batches()).step == 1
    checkpoints.close()
