"""Where the time of a training's step goes, by kind of operation: on a CPU, as XLA's own profile.

    taskset -c 0 python -m benchmarks.operations segmenter cyclegan

On one core, operations follow one another and their times add up. What a library still does in the
background counts for the operation after it: kinds are rough, and single operations can be wrong.
Names are those of trainings in `python -m benchmarks`; `--largest=20` lists the largest operations,
too. What has 7 x 7 px at most is taken for a kernel, which is wrong in `wgan_gp`, whose critic has
maps of 4 x 4 px.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jax

from benchmarks import cases, pieces
from semjax import hugepages

STEPS = 5


def compile_step(name: str) -> tuple:
    """A piece's compiled step, with a state and a batch for it."""
    piece = pieces.list_pieces(jax.default_backend() == "cpu")[name]
    c = cases.configure(piece.kind, piece.variant, piece.changes)
    learner = cases.make_learner(piece.kind, c)
    batch = jax.device_put(cases.draw_batch(piece.kind, c, seed=0))
    state, key = cases.init_state(learner), jax.random.key(0)
    return jax.jit(learner.step, donate_argnums=0).lower(state, batch, key).compile(), state, batch


def time_operations(step, state, batch) -> Counter:
    """Milliseconds of each operation in one step, by its name in the compiled program."""
    key = jax.random.key(0)
    for _ in range(2):  # memory is asked for
        state, _ = step(state, batch, key)
    jax.block_until_ready(state)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(STEPS):
                state, _ = step(state, batch, key)
            jax.block_until_ready(state)
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
        found = Counter()
        for plane in profile.planes:
            for line in plane.lines:
                for event in line.events:
                    found[event.name] += event.duration_ns / 1e6 / STEPS
    return found


def read_program(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, line and body (that of a fusion, else the line) of each operation of a program."""
    bodies = dict(re.findall(r"^(?:ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", text, re.M | re.S))
    for name, line in re.findall(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$", text, re.M):
        called = re.search(r"calls=%?([\w.\-]+)", line)
        yield name, line, bodies.get(called.group(1), line) if called else line


def name_kind(line: str, body: str) -> str:
    """What an operation does, in words."""
    if " convolution(" in body:
        rows, columns = map(int, re.search(r"\[\d+,(\d+),(\d+),", line).groups())
        if max(rows, columns) <= 7:  # the result is a kernel
            return "kernels' gradients by convolution"
        return "convolutions, forward and to the input"
    if " dot(" in body:
        return "matrix products"
    if " reduce(" in body:
        return "sums over pixels"
    if re.search(r"calls=%?\w*(transpose|copy)|^\S+ (transpose|copy)\(", line):
        return "copies in another order"
    return "element by element (norms, activations, joining, Adam)"


def main() -> None:
    """Prints a table a piece."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=__doc__)
    parser.add_argument("names", nargs="+", help="pieces")
    parser.add_argument("--largest", type=int, default=0, help="operations to list")
    given = parser.parse_args()
    for name in given.names:
        step, state, batch = compile_step(name)
        times = time_operations(step, state, batch)
        kinds, calls, single = Counter(), Counter(), []
        for operation, line, body in read_program(step.as_text()):
            if operation in times:
                kind = name_kind(line, body)
                kinds[kind] += times[operation]
                calls[kind] += 1
                single.append((times[operation], operation, line))
        total = sum(kinds.values())
        print(f"{name}: {total:.0f} ms a step")
        for kind, ms in kinds.most_common():
            print(f"{ms:9.1f} ms {ms / total:6.1%} {calls[kind]:5} operations: {kind}")
        for ms, operation, line in sorted(single, reverse=True)[: given.largest]:
            print(f"{ms:9.2f} ms {operation} = {line.split(', metadata')[0][:120]}")


if __name__ == "__main__":
    hugepages.restart()
    main()
