"""The one training loop. A learner is a pair of pure functions; `fit` runs it."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from semjax import devices, interrupts, processes
from semjax.checkpoints import Checkpoints
from semjax.data.resident import Resident
from semjax.watch import Finding
from semjax.workdir import explained, write_text

YOUNG = 200  # no failures are told before this step
NO_STEP = 2**31 - 1  # no training is so long
AT_ONCE = 10  # steps of one call where the device draws its own batches, if they divide log_every


class Learner(NamedTuple):
    """What is trained: `init(key) -> state`, `step(state, batch, key) -> (state, metrics)`.

    Both are pure. A state is a PyTreeNode with a field `step`; metrics are a dict of scalars.
    """

    init: Callable[[jax.Array], Any]
    step: Callable[[Any, Any, jax.Array], tuple[Any, dict[str, jax.Array]]]


def fit(
    learner: Learner,
    batches: Iterator | Resident,
    folder: Path,
    *,
    seed: int,
    steps: int,
    log_every: int,
    save_every: int,
    batch_axis: int = 0,
    sample: Callable[[Any, int], Sequence[Finding] | None] | None = None,
    watch: Callable[[Sequence[dict[str, float]]], Sequence[Finding]] | None = None,
) -> Any:
    """Trains up to `steps`, from the newest checkpoint in `folder` if there is one.

    The key of a step is folded from the seed and the state's own step, so a training that was
    interrupted and goes on equals one that never stopped, bit for bit on a CPU. Ctrl-C and SIGTERM
    end it after the step that runs, which is saved; a second one ends it at once. Batches are split
    over the devices of all processes; on another number of them, losses differ by rounding only.

    Args:
        learner: what to train.
        batches: iterator of batches (trees of NumPy arrays), with Grain's `get_state` and
            `set_state`; of several processes, each gives its own part of every batch. Or samples
            that the device draws: then one call makes several steps, and a signal waits for them.
        folder: gets `checkpoints/` and `metrics.jsonl`.
        seed: of the initial state and of every step.
        steps: updates in all.
        log_every: updates over which metrics are averaged.
        save_every: updates between checkpoints; a multiple of `log_every`, so that no state
            is saved unexamined.
        batch_axis: the axis of a batch that counts samples.
        sample: called as `sample(state, step)` at every checkpoint, to draw pictures; may return
            what looks wrong in them.
        watch: called with all rows of metrics whenever one is logged; returns what looks wrong.

    Returns:
        The final state, on one device of this process.

    Raises:
        FloatingPointError: a metric, or an array of a state to be saved, is not finite; the message
            names the step.
    """
    # A network has a hundred arrays to draw, and XLA compiles the default generator anew for each.
    init_key = jax.random.key(seed, impl="rbg")
    grid = devices.mesh()
    replicated, split = devices.replicated(grid), devices.split(grid, axis=batch_axis)
    state = jax.jit(learner.init, out_shardings=replicated)(init_key)
    step_key = jax.jit(jax.random.key, static_argnums=0, out_shardings=replicated)(seed)

    leads = processes.leads()
    checkpoints = Checkpoints(folder / "checkpoints")
    start = checkpoints.latest or 0
    at_once, arrays = 1, None
    if isinstance(batches, Resident):
        at_once = math.gcd(AT_ONCE, log_every, steps, start)
        arrays = devices.put_replicated(batches.arrays, grid)

    def update_once(state, batch, key):
        batch = jax.lax.with_sharding_constraint(batch, split)
        return learner.step(state, batch, jax.random.fold_in(key, state.step))

    def update(state, batch, key):
        samples = batches
        if not isinstance(samples, Resident):
            return update_once(state, batch, key)

        def draw_and_update(state, _):
            draw_key = jax.random.fold_in(key, NO_STEP)
            return update_once(state, samples.draw(batch, state.step, draw_key), key)

        return jax.lax.scan(draw_and_update, state, length=at_once)

    # Replicated, or the compiler would split what it likes, and compile again for it.
    update = jax.jit(update, donate_argnums=0, out_shardings=replicated)
    if start:
        state = checkpoints.restore(start, state, batches)
        logging.info("%s: going on from step %d of %d", folder.name, start, steps)
    metrics_path = folder / "metrics.jsonl"
    rows = _cut_metrics(metrics_path, start) if leads else []
    said: set[str] = set()

    def warn(findings: Sequence[Finding] | None, step: int) -> None:
        """Says each kind of failure once; a young training has not gone wrong yet."""
        for name, text in findings or ():
            if step >= YOUNG and name not in said:
                said.add(name)
                logging.warning("%s, step %d: %s", folder.name, step, text)

    pending: list[dict[str, jax.Array]] = []
    interval_start = time.monotonic()
    with (
        # Of several processes, one alone must not stop at a step of its own.
        interrupts.held() if processes.place()[1] == 1 else nullcontext([]) as asked,
        _Progress(folder.name, start, steps, shown=leads) as progress,
        _tensorboard(folder, start) if leads else nullcontext(_NoBoard()) as board,
    ):
        for step in range(start + at_once, steps + 1, at_once):
            batch = arrays
            if not isinstance(batches, Resident):
                batch = devices.put_batch(next(batches), grid, axis=batch_axis)
            with jax.transfer_guard("disallow"):
                state, metrics = update(state, batch, step_key)
            pending.append(metrics)
            stopping = bool(asked)
            if step % log_every and step != steps and not stopping:
                continue
            row = _average(pending)
            seconds = time.monotonic() - interval_start
            n_steps = len(pending) * at_once
            row["steps_per_second"] = round(n_steps / seconds, 4)
            bad = [name for name, value in row.items() if not math.isfinite(value)]
            if bad:
                values = [np.stack(list(m.values())) for m in jax.device_get(pending)]
                first = np.argmin(np.hstack([np.isfinite(x).all(axis=0) for x in values]))
                raise FloatingPointError(
                    f"{folder.name}: {', '.join(bad)} not finite from step "
                    f"{step - n_steps + 1 + first} on; the last good checkpoint is step "
                    f"{checkpoints.latest or 0} in {folder / 'checkpoints'}. "
                    "Try a lower learning rate."
                )
            pending = []
            due = step % save_every == 0 or step == steps
            if (due or stopping) and (bad := _not_finite(state)):
                raise FloatingPointError(
                    f"{folder.name}: {', '.join(bad[:3])} not finite at step {step}, though "
                    "the losses are; the last good checkpoint is step "
                    f"{checkpoints.latest or 0} in {folder / 'checkpoints'}. "
                    "Try a lower learning rate."
                )
            if leads:
                with explained(metrics_path), metrics_path.open("a") as file:
                    file.write(json.dumps({"step": step, **row}) + "\n")
                for name, value in row.items():
                    board.add_scalar(name, value, step)
                progress.show(step, row)
                rows.append({"step": step, **row})
                if watch is not None:
                    warn(watch(rows), step)
                # First, so that a kill cannot leave a picture out.
                if due and sample is not None:
                    warn(sample(devices.local(state), step), step)
            if due or stopping:
                checkpoints.save(step, state, batches)
            if stopping:
                logging.info("%s: saved at step %d of %d", folder.name, step, steps)
                break
            interval_start = time.monotonic()
    checkpoints.close()
    return devices.local(state)


def _average(rows: list[dict[str, jax.Array]]) -> dict[str, float]:
    """Means over an interval, fetched from the device at once."""
    fetched = jax.device_get(rows)
    return {
        name: float(f"{np.mean([row[name] for row in fetched], dtype=np.float64):.6g}")
        for name in fetched[0]
    }


def _not_finite(state: Any) -> list[str]:
    """Names of the state's arrays that hold NaN or infinite values."""
    return [
        jax.tree_util.keystr(path)
        for path, x in jax.tree_util.tree_leaves_with_path(state)
        if jnp.issubdtype(x.dtype, jnp.inexact)
        and not np.isfinite(np.asarray(x.addressable_data(0))).all()
    ]


def _cut_metrics(path: Path, step: int) -> list[dict[str, float]]:
    """Drops rows after `step`: what a killed training logged past its last checkpoint.

    Returns:
        The rows that are left.
    """
    if not path.exists():
        return []
    rows, kept = [], []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
            if row["step"] <= step:
                rows.append(row)
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue  # a line cut short by the kill
    write_text(path, "".join(kept))
    return rows


class _NoBoard:
    def add_scalar(self, name: str, value: float, step: int) -> None:
        """TensorBoard is an extra; without it `metrics.jsonl` holds the same numbers."""


def _tensorboard(folder: Path, start: int):
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return nullcontext(_NoBoard())
    # What a killed training showed past its last checkpoint is shown again, not twice.
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)


class _Progress:
    """A bar with the time left on a terminal, plain lines in a log."""

    def __init__(self, name: str, start: int, steps: int, *, shown: bool = True):
        self.name, self.start, self.steps = name, start, steps
        self.began = time.monotonic()
        console = Console(stderr=True)
        self.bar = None
        if shown and console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=20),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                TextColumn("left"),
                # The numbers get the room that is left, so that they never push the time away.
                TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True)),
                console=console,
                expand=True,
                speed_estimate_period=3600,  # seconds; steps may be slow
            )

    def __enter__(self):
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=self.steps, note="")
            self.bar.update(self.task, completed=self.start)
        return self

    def show(self, step: int, row: dict[str, float]) -> None:
        note = " ".join(f"{name} {value:.4g}" for name, value in row.items())
        if self.bar is not None:
            self.bar.update(self.task, completed=step, note=note)
            return
        rate = (time.monotonic() - self.began) / (step - self.start)
        left = rate * (self.steps - step)
        logging.info("%s %d/%d %s left %d s", self.name, step, self.steps, note, left)

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.stop()
