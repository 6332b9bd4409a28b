"""Our side of every piece."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import cases
from benchmarks.job import Job
from benchmarks.pieces import Piece
from semjax import devices, measuring, models, phantom, predict
from semjax.analysis import regions, split
from semjax.synth import outlines, place

N_BATCHES = 4  # different ones, in turn
ROOT = Path(__file__).parents[1]


def train(piece: Piece) -> Job:
    """Updates as `semjax.training.fit` makes them, from batches that lie in the host's memory."""
    c = cases.configure(piece.kind, piece.variant, piece.changes)
    learner = cases.make_learner(piece.kind, c)
    grid = devices.mesh()
    state = jax.device_put(cases.init_state(learner), devices.replicated(grid))
    key = jax.device_put(jax.random.key(0), devices.replicated(grid))
    axis = 1 if piece.kind == "wgan_gp" else 0
    batches = [cases.draw_batch(piece.kind, c, seed) for seed in range(N_BATCHES)]
    first = devices.put_batch(batches[0], grid, axis=axis)

    def update(state, batch, key):
        return learner.step(state, batch, jax.random.fold_in(key, state.step))

    flops = cases.count(update, state, first, key)
    begin = time.perf_counter()
    step = jax.jit(update, donate_argnums=0, out_shardings=devices.replicated(grid))
    compiled = step.lower(state, first, key).compile()
    compile_s = time.perf_counter() - begin
    endless = cycle(batches)

    def run(n: int) -> None:
        nonlocal state
        for batch in islice(endless, n):
            state, _ = compiled(state, devices.put_batch(batch, grid, axis=axis), key)
        jax.block_until_ready(state)

    return Job(run, compile_s, flops, compiled.cost_analysis()["bytes accessed"])


def make_model(kind: str, piece: Piece) -> predict.Model:
    """An untrained network as `semjax.predict` takes it."""
    changes = {key: piece.changes[key] for key in ("filters",)}
    c = cases.configure(kind, piece.variant, changes)
    network = cases.make_unet(kind, c)
    channels = 1 if kind == "segmenter" else 2
    zeros = jnp.zeros((1, 64, 64, channels))
    return predict.Model({}, network, jax.jit(network.init)(jax.random.key(0), zeros))


def network_only(piece: Piece) -> Job:
    """One micrograph through the segmenter, flips and tiles included."""
    model = make_model("segmenter", piece)
    image = np.random.default_rng(0).uniform(-1, 1, piece.changes["image_px"]).astype(np.float32)
    tile_px = piece.changes["tile_px"]
    calls = []

    def watched(network, variables, batch, activation):
        calls.append(batch.shape)
        return plain(network, variables, batch, activation)

    plain, predict._run = predict._run, watched
    begin = time.perf_counter()
    predict.probabilities(model, image, tile_px=tile_px)
    first_s = time.perf_counter() - begin
    predict._run = plain
    begin = time.perf_counter()
    predict.probabilities(model, image, tile_px=tile_px)
    again_s = time.perf_counter() - begin

    def forward(variables, batch):
        return model.network.apply(variables, batch, train=False)

    zeros = jnp.zeros(calls[0])
    lowered = jax.jit(forward).lower(model.variables, zeros)
    n_bytes = lowered.compile().cost_analysis()["bytes accessed"]

    def run(n: int) -> None:
        for _ in range(n):
            predict.probabilities(model, image, tile_px=tile_px)

    flops = len(calls) * cases.count(forward, model.variables, zeros)
    return Job(run, first_s - again_s, flops, len(calls) * n_bytes)


def whole_path(piece: Piece) -> Job:
    """A simulated micrograph in memory to a table of its particles.

    An untrained network finds nothing to split: it is run, and what a perfect one would have found
    is split instead.
    """
    made = phantom.simulate(0, image_px=piece.changes["image_px"], foreground=0.2)
    image = made.image.astype(np.float32) / 127.5 - 1
    truth = np.stack(split.targets(made.labels), axis=-1).astype(np.float32)
    recipe = {"tile_px": piece.changes["tile_px"], "flips": True, "min_area_px": 9}
    segmenter = make_model("segmenter", piece)._replace(
        settings={"split": "markers", "threshold": 0.5}
    )
    classifier = make_model("classifier", piece)._replace(settings={"threshold": 0.5})
    model = models.Model(
        path=ROOT,
        recipe=recipe,
        trained={"pixel_size_nm": None, "min_feret_px": None},
        scores={},
        files={},
        segmenter=segmenter,
        classifier=classifier,
        hash="",
    )
    plain = predict.probability_rows

    def perfect(*args, **kwargs):
        for _ in plain(*args, **kwargs):
            pass
        return iter([truth])

    predict.probability_rows = perfect

    def run(n: int) -> None:
        for _ in range(n):
            labels, _ = measuring.segment(model, image)
            if not 0.5 < labels.max() / made.labels.max() < 1.5:
                raise AssertionError("the perfect network's outputs were not split")
            table = regions.measure(labels, made.image, pixel_size_nm=7.5)
            measuring.judge(model, image, labels, table)

    return _time_first(run)


def masks(piece: Piece) -> Job:
    """Masks of a quarter foreground from a bank of polygons as large as the paper's particles."""
    areas = np.random.default_rng(0).uniform(350, 1700, 200)
    bank = outlines.random_polygons(2000, seed=0, outline_px=64, areas=areas)

    def assemble(count: int) -> None:
        place.assemble(
            bank,
            key=jax.random.key(0),
            tile_px=(384, 384),
            n_masks=count,
            foreground=np.full(count, 0.25),
        )

    begin = time.perf_counter()
    assemble(place.BATCH)
    first_s = time.perf_counter() - begin
    begin = time.perf_counter()
    assemble(place.BATCH)
    compile_s = first_s - (time.perf_counter() - begin)

    def run(n: int) -> None:
        for _ in range(n):
            assemble(piece.changes["n"])

    return Job(run, compile_s)


def start_up(piece: Piece) -> Job:
    """A new process each time."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # A new one: what another version has left there would not go on.
    workdir = tempfile.mkdtemp(prefix="semjax-benchmarks-")
    atexit.register(shutil.rmtree, workdir, ignore_errors=True)
    command = {
        "import": ["-c", "import semjax"],
        "help": ["-m", "semjax", "run", "--help"],
        "second_start": [
            "launch.py",
            f"--config={ROOT / 'configs' / 'smoke.py'}",
            f"--workdir={workdir}",
        ],
    }[piece.kind]

    def run(n: int) -> None:
        for _ in range(n):
            subprocess.run(
                [sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=sys.stderr
            )

    run(1)  # the first start makes what the second finds finished
    return Job(run)


def _time_first(run) -> Job:
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        run(1)
        seconds.append(time.perf_counter() - begin)
    return Job(run, max(seconds[0] - seconds[1], 0.0))


def ceiling(piece: Piece) -> Job:
    """A large matrix product, or a large copy."""
    on_cpu = jax.default_backend() == "cpu"
    if piece.kind == "product":
        side, dtype = (3072, jnp.float32) if on_cpu else (8192, jnp.bfloat16)
        x = jnp.ones((side, side), dtype)
        function, flops, n_bytes = jax.jit(jnp.matmul), 2.0 * side**3, None
        args = (x, x)
    else:
        x = jnp.ones(2**26 if on_cpu else 2**29, jnp.float32)
        function, flops, n_bytes = jax.jit(jnp.negative), None, 2.0 * x.nbytes
        args = (x,)

    def run(n: int) -> None:
        for _ in range(n):
            out = function(*args)
        jax.block_until_ready(out)

    run(1)
    return Job(run, 0.0, flops, n_bytes)


KINDS = {
    **dict.fromkeys(cases.SECTIONS, train),
    "predict": network_only,
    "path": whole_path,
    "masks": masks,
    **dict.fromkeys(("import", "help", "second_start"), start_up),
    **dict.fromkeys(("product", "copy"), ceiling),
}
