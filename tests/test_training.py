"""The training loop, on a learner so small that a step takes no time."""

import io
import json
import re
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct
from rich.console import Console

from semjax import interrupts, optimizers, training
from semjax.data import batches
from semjax.data.resident import Resident
from semjax.training import Learner, fit
from semjax.watch import Finding


class State(struct.PyTreeNode):
    step: jax.Array
    weights: jax.Array


def make_learner(*, breaks_at: int = -1) -> Learner:
    """Walks towards the batches with noise; its loss is NaN once at the step `breaks_at`."""

    def init(key):
        return State(jnp.zeros((), jnp.int32), jax.random.normal(key, (3,)))

    def step(state, batch, key):
        towards = batch.mean(axis=0) - state.weights
        weights = state.weights + 0.1 * towards + 0.01 * jax.random.normal(key, (3,))
        loss = jnp.where(state.step == breaks_at - 1, jnp.nan, jnp.sum(towards**2))
        return State(state.step + 1, weights), {"loss": loss, "at": state.step + 1.0}

    return Learner(init, step)


def make_batches(*, record: list | None = None):
    """Batches (2, 3) of items that say which they are; `record` notes what was made."""

    def make(index, generator):
        return np.concatenate([[index], generator.random(2)]).astype(np.float32)

    stream = batches.training(5, make, batch_size=2, seed=3)
    return stream if record is None else Recorded(stream, record)


class Recorded:
    """The batches that came, beside an iterator that Orbax still sees."""

    def __init__(self, stream, record):
        self.stream, self.record = stream, record

    def __next__(self):
        self.record.append(next(self.stream))
        return self.record[-1]

    def __getattr__(self, name):
        return getattr(self.stream, name)


def run(
    folder,
    *,
    steps,
    learner=None,
    stream=None,
    seed=7,
    sample: Callable | None = None,
    watch: Callable | None = None,
):
    folder.mkdir(exist_ok=True)
    return fit(
        learner or make_learner(),
        stream or make_batches(),
        folder,
        seed=seed,
        steps=steps,
        log_every=2,
        save_every=4,
        sample=sample,
        watch=watch,
    )


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def contents(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in paths if "tensorboard" not in path.parts}


def without_speed(lines):
    return [{k: v for k, v in row.items() if k != "steps_per_second"} for row in lines]


def test_an_interrupted_training_ends_as_one_that_never_stopped(tmp_path):
    straight, record = [], []
    expected = run(tmp_path / "straight", steps=13, stream=make_batches(record=straight))
    for steps in (6, 7, 13):
        found = run(tmp_path / "parts", steps=steps, stream=make_batches(record=record))
    assert found.step == expected.step == 13
    assert np.array_equal(found.weights, expected.weights)
    assert np.array_equal(record, straight)  # the data went on at its position
    assert len({batch.tobytes() for batch in straight}) == 13


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path):
    expected = run(tmp_path / "straight", steps=12)

    def kill(state, step):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", steps=12, sample=kill)
    # What was logged after the checkpoint, and a line cut short by the kill.
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "loss": 5.0}\n{"step": 12, "lo')
    found = run(tmp_path / "killed", steps=12)
    assert np.array_equal(found.weights, expected.weights)
    assert without_speed(rows(tmp_path / "killed")) == without_speed(rows(tmp_path / "straight"))


def drawn_on_the_device():
    """As `make_batches`, of samples that the device draws."""

    def make(items, index, key):
        return jnp.stack([items[index], *jax.random.uniform(key, (2,))])

    return Resident(np.arange(5, dtype=np.float32), 5, make, (2,))


def test_a_training_that_draws_on_the_device_goes_on_exactly(tmp_path):
    expected = run(tmp_path / "straight", steps=12, stream=drawn_on_the_device())
    for steps in (4, 8, 12):
        found = run(tmp_path / "parts", steps=steps, stream=drawn_on_the_device())
    assert found.step == expected.step == 12
    assert np.array_equal(found.weights, expected.weights)
    logged = rows(tmp_path / "straight")
    assert [row["at"] for row in logged] == [1.5, 3.5, 5.5, 7.5, 9.5, 11.5]
    assert without_speed(rows(tmp_path / "parts")) == without_speed(logged)
    # An odd number of steps is made one by one.
    found = run(tmp_path / "odd", steps=5, stream=drawn_on_the_device())
    assert found.step == 5
    assert [row["at"] for row in rows(tmp_path / "odd")] == [1.5, 3.5, 5.0]


def test_several_steps_of_one_call_tell_which_was_not_finite(tmp_path):
    with pytest.raises(FloatingPointError, match="loss not finite from step 7 on"):
        learner = make_learner(breaks_at=7)
        run(tmp_path, steps=12, learner=learner, stream=drawn_on_the_device())


@pytest.fixture
def ctrl_c():
    """Ctrl-C as usual: a shell makes programs in the background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("ctrl_c")
def test_a_training_that_is_asked_to_end_is_saved_first(tmp_path, number):
    expected = run(tmp_path / "straight", steps=12)

    class Asking(Recorded):
        def __next__(self):
            if len(self.record) == 6:  # the seventh step is made and saved all the same
                signal.raise_signal(number)
            return super().__next__()

    with interrupts.listen(), pytest.raises(KeyboardInterrupt) as ended:
        run(tmp_path / "ended", steps=12, stream=Asking(make_batches(), []))
    assert (ended.type is interrupts.Terminated) == (number == signal.SIGTERM)
    assert [path.name for path in (tmp_path / "ended" / "checkpoints").iterdir()] == ["7"]
    assert [row["at"] for row in rows(tmp_path / "ended")] == [1.5, 3.5, 5.5, 7.0]
    found = run(tmp_path / "ended", steps=12)
    assert np.array_equal(found.weights, expected.weights)


def test_metrics_are_means_over_intervals_the_last_one_shorter(tmp_path):
    run(tmp_path, steps=5)
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [2, 4, 5]
    assert [row["at"] for row in found] == [1.5, 3.5, 5.0]
    assert all(row["steps_per_second"] > 0 for row in found)


def test_metrics_without_a_checkpoint_are_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": 1.0}\n{"step": 4')
    run(tmp_path, steps=2)
    assert [row["step"] for row in rows(tmp_path)] == [2]
    assert rows(tmp_path)[0]["loss"] != 1.0


def test_a_finished_training_does_nothing(tmp_path):
    done = run(tmp_path, steps=4)
    files = contents(tmp_path)
    record, sampled = [], []
    again = run(
        tmp_path,
        steps=4,
        stream=make_batches(record=record),
        sample=lambda state, step: sampled.append(step),
    )
    assert np.array_equal(again.weights, done.weights) and again.step == 4
    assert not record and not sampled
    assert contents(tmp_path) == files


def test_samples_are_drawn_at_checkpoints_and_at_the_end(tmp_path):
    seen = []
    run(tmp_path, steps=10, sample=lambda state, step: seen.append((step, int(state.step))))
    assert seen == [(4, 4), (8, 8), (10, 10)]


def test_a_step_takes_the_room_of_the_state_before_it(tmp_path):
    states = []
    last = run(tmp_path, steps=10, sample=lambda state, step: states.append(state))
    gone = [x.is_deleted() for state in states[:-1] for x in jax.tree.leaves(state)]
    assert gone and all(gone)
    assert not any(x.is_deleted() for x in jax.tree.leaves((states[-1], last)))


def test_one_checkpoint_is_kept(tmp_path):
    run(tmp_path, steps=10)
    kept = [path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()]
    assert kept == ["10"]


def test_a_loss_that_is_not_finite_stops_and_saves_nothing(tmp_path):
    with pytest.raises(FloatingPointError) as error:
        run(tmp_path, steps=12, learner=make_learner(breaks_at=7))
    message = str(error.value)
    assert f"{tmp_path.name}: loss not finite from step 7 on" in message
    assert f"checkpoint is step 4 in {tmp_path / 'checkpoints'}" in message
    assert [row["step"] for row in rows(tmp_path)] == [2, 4, 6]
    # Whatever was wrong is mended: it goes on from the good state.
    found = run(tmp_path, steps=12)
    assert np.array_equal(found.weights, run(tmp_path / "straight", steps=12).weights)


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    """The losses of a step are taken before its update, and may be finite to the last."""
    real, drawn = make_learner(), []

    def step(state, batch, key):
        state, metrics = real.step(state, batch, key)
        broken = jnp.where(state.step == 8, jnp.nan, 1.0)
        return state.replace(weights=state.weights * broken), metrics

    with pytest.raises(FloatingPointError) as error:
        learner = real._replace(step=step)
        run(tmp_path, steps=8, learner=learner, sample=lambda state, at: drawn.append(at))
    message = str(error.value)
    assert f"{tmp_path.name}: .weights not finite at step 8" in message
    assert f"checkpoint is step 4 in {tmp_path / 'checkpoints'}" in message
    assert drawn == [4]
    found = run(tmp_path, steps=8)
    assert np.array_equal(found.weights, run(tmp_path / "straight", steps=8).weights)


def test_the_seed_sets_start_and_steps(tmp_path):
    weights = [
        run(tmp_path / str(i), steps=2, seed=seed).weights for i, seed in enumerate([1, 1, 2])
    ]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    starts = [run(tmp_path / f"start{seed}", steps=0, seed=seed).weights for seed in (1, 2)]
    assert not np.array_equal(*starts)


def test_every_step_has_a_key_of_its_own(tmp_path):
    def step(state, batch, key):
        drawn = jax.random.uniform(key)
        return State(state.step + 1, state.weights.at[state.step].set(drawn)), {"drawn": drawn}

    learner = Learner(lambda key: State(jnp.zeros((), jnp.int32), jnp.zeros(6)), step)
    assert np.unique(run(tmp_path, steps=6, learner=learner).weights).size == 6


def test_progress_names_the_time_left(tmp_path, monkeypatch):
    lines = []
    log = SimpleNamespace(info=lambda text, *args: lines.append(text % args))
    monkeypatch.setattr(training, "logging", log)
    run(tmp_path, steps=4)
    assert [line.split(" ")[1] for line in lines] == ["2/4", "4/4"]
    assert all("loss" in line and line.endswith("s") for line in lines)
    lines.clear()
    run(tmp_path, steps=6)
    assert "going on from step 4 of 6" in lines[0]


def test_failures_are_told_once_each_and_change_nothing(tmp_path, monkeypatch):
    lines = []
    log = SimpleNamespace(
        info=lambda *_: None, warning=lambda text, *args: lines.append(text % args)
    )
    monkeypatch.setattr(training, "logging", log)
    monkeypatch.setattr(training, "YOUNG", 4)
    seen = []

    def watch(metrics):
        seen.append([row["step"] for row in metrics])
        return [Finding("a", "too high")] if metrics[-1]["step"] != 6 else []

    def sample(state, step):
        return [Finding("b", "too dark")]

    found = run(tmp_path / "watched", steps=8, sample=sample, watch=watch)
    assert lines == ["watched, step 4: too high", "watched, step 4: too dark"]
    assert seen == [[2], [2, 4], [2, 4, 6], [2, 4, 6, 8]]
    assert np.array_equal(found.weights, run(tmp_path / "alone", steps=8).weights)
    # A training that goes on looks at what was logged before.
    run(tmp_path / "watched", steps=10, watch=watch)
    assert seen[-1] == [2, 4, 6, 8, 10]


def test_the_learning_rate_s_schedule_goes_on_after_a_restart(tmp_path):
    """The optimiser's own count is part of the state."""

    class Scheduled(struct.PyTreeNode):
        step: jax.Array
        weight: jax.Array
        opt_state: optax.OptState

    tx = optax.sgd(optimizers.halving(1.0, every=3))

    def init(key):
        weight = jnp.zeros(())
        return Scheduled(jnp.zeros((), jnp.int32), weight, tx.init(weight))

    def step(state, batch, key):
        updates, opt_state = tx.update(jnp.ones(()), state.opt_state)
        weight = optax.apply_updates(state.weight, updates)
        return Scheduled(state.step + 1, weight, opt_state), {"weight": weight}

    for steps in (4, 7):
        state = run(tmp_path, steps=steps, learner=Learner(init, step))
    assert state.weight == -(3 * 1.0 + 3 * 0.5 + 0.25)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_time_left_is_seen_on_a_terminal_however_many_the_numbers(columns, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        training,
        "Console",
        lambda stderr: Console(file=screen, force_terminal=True, width=columns, color_system=None),
    )
    with training._Progress("3_translate", 100, 4500) as progress:
        for step in (150, 200):
            progress.show(step, {f"quite_a_long_name_{i}": 0.5 for i in range(8)})
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", screen.getvalue()).split()
    at = len(shown) - 1 - shown[::-1].index("200/4500")
    assert re.fullmatch(r"\d+:\d\d:\d\d", shown[at + 1])
    assert shown[at + 2 : at + 3] == ["left"] and shown[at + 3].startswith("qui")


def test_tensorboard_gets_the_numbers_of_the_metrics(tmp_path, monkeypatch):
    written, closed = [], []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            self.folder, self.purge_step = folder, purge_step

        def __enter__(self):
            return self

        def __exit__(self, *_):
            closed.append((self.folder, self.purge_step))

        def add_scalar(self, name, value, step):
            written.append((step, name, value))

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=SummaryWriter))
    run(tmp_path, steps=4)
    logged = [(row.pop("step"), row) for row in rows(tmp_path)]
    assert written == [(step, *item) for step, row in logged for item in row.items()]
    run(tmp_path, steps=6)  # what was shown past the checkpoint that it goes on from is taken back
    assert closed == [(str(tmp_path / "tensorboard"), step) for step in (1, 5)]
