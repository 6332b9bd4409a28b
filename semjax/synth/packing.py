"""The compiled part of placing: one mask is one loop over candidates, drawn in turn."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jax.sharding import Mesh, PartitionSpec

from semjax.synth.perlin import perlin

# Patches of noise must have room for the particles: they hold at least this multiple of the
# foreground that is asked for.
ROOM = 1.3
# Noise is drawn for squares of this many pixels: it is smooth, and would cost more than placing.
CELL_PX = 4
LIMIT = 4.0  # log-normal factors are cut at this many sigma, which keeps patches small


class Plan(NamedTuple):
    """What is compiled into the function; hashable. Options as in `place.assemble`."""

    tile_px: tuple[int, int]
    margin_px: int  # centres lie this far beyond the tile, a multiple of CELL_PX
    halves_px: tuple[int, ...]  # half sides of stamps, ascending: up to the largest particle's
    n_candidates: int
    slots: int  # particles that can be placed
    by_count: bool
    placement: str
    noise_frequency: float
    noise_octaves: int
    size: str
    rotation: str
    grid: str
    spacing_px: float


class Rules(NamedTuple):
    """Numbers that may change without a new compilation. Options as in `place.assemble`."""

    n_particles: tuple[int, int]
    noise_threshold: float
    size_sigma: float
    size_range: tuple[float, float]
    jitter_px: float
    max_overlap: float
    min_visible: float


class Bank(NamedTuple):
    """Outlines as they are drawn."""

    fields: jax.Array  # float32 (k, s, s), signed distance to the border, 1 in the middle
    centroids: jax.Array  # float32 (k, 2), row and column
    radii: jax.Array  # float32 (k,), from the centroid to the farthest border


class Candidates(NamedTuple):
    """Particles to be tried, in turn; arrays (n_candidates,)."""

    row: jax.Array  # centre in pixels of the tile
    col: jax.Array
    outline: jax.Array  # index in the bank
    factor: jax.Array
    angle: jax.Array
    stamp: jax.Array  # which of `halves_px` holds it
    usable: jax.Array  # how many of them to try, a scalar


class Canvas(NamedTuple):
    """State of the loop over candidates."""

    tried: jax.Array
    placed: jax.Array
    done: jax.Array
    # Label and dome share an integer, label * 256 + dome: one read and one write a particle.
    pixels: jax.Array  # int32 (H, W): the tile, its margin and half a patch beyond
    covered: jax.Array  # pixels of the tile under particles
    in_tile: jax.Array  # particles placed with pixels in the tile
    whole: jax.Array  # int32 (slots + 1,), areas; index 0 is the background
    visible: jax.Array  # int32 (slots + 1,)
    row: jax.Array  # float32 (slots + 1,)
    col: jax.Array


@partial(jax.jit, static_argnames=("plan", "mesh", "together"))
def place_batch(
    key, index, targets, bank: Bank, rules: Rules, plan: Plan, mesh: Mesh, together: bool
) -> dict[str, jax.Array]:
    """Assemble the masks with the numbers `index` (n,), towards the foreground `targets` (n,).

    The devices of the mesh share them; its size divides n. A device makes its masks one after the
    other, or all `together`, particle by particle: with the many small operations of a particle,
    an accelerator would wait for its host most of the time otherwise.
    """

    def some(key, index, targets, bank, rules):
        def one(i, target):
            return _place_one(jax.random.fold_in(key, i), target, bank, rules, plan)

        if together:
            return jax.vmap(one)(index, targets)
        return jax.lax.map(lambda args: one(*args), (index, targets))

    whole, split = PartitionSpec(), PartitionSpec(mesh.axis_names)
    spread = jax.shard_map(
        some,
        mesh=mesh,
        in_specs=(whole, split, split, whole, whole),
        out_specs=split,
        check_vma=False,  # loops begin with constants, the same on all devices, and go on apart
    )
    return spread(key, index, targets, bank, rules)


def _place_one(key, target, bank: Bank, rules: Rules, plan: Plan) -> dict[str, jax.Array]:
    key_number, key_candidates = jax.random.split(key)
    low, high = rules.n_particles
    number = jax.random.randint(key_number, (), low, high + 1)
    target_px = target * plan.tile_px[0] * plan.tile_px[1]
    candidates = _draw_candidates(key_candidates, target, bank, rules, plan)

    edge = _edge_px(plan)
    nothing = jnp.zeros(plan.slots + 1, jnp.int32)
    canvas = Canvas(
        tried=jnp.int32(0),
        placed=jnp.int32(0),
        done=(number <= 0) if plan.by_count else (target_px <= 0),
        pixels=jnp.zeros([n + 2 * edge for n in plan.tile_px], jnp.int32),
        covered=jnp.int32(0),
        in_tile=jnp.int32(0),
        whole=nothing,
        visible=nothing,
        row=nothing.astype(jnp.float32),
        col=nothing.astype(jnp.float32),
    )

    def unfinished(c: Canvas):
        return ~c.done & (c.tried < candidates.usable) & (c.placed < plan.slots)

    def try_next(c: Canvas) -> Canvas:
        return _try(c, candidates, bank, rules, plan, number=number, target_px=target_px)

    canvas = jax.lax.while_loop(unfinished, try_next, canvas)
    return _crop(canvas, edge, plan)


def _try(
    c: Canvas, candidates: Candidates, bank: Bank, rules: Rules, plan: Plan, *, number, target_px
) -> Canvas:
    """Put the next candidate on the canvas, or pass it over."""
    k = c.tried
    row, col = candidates.row[k], candidates.col[k]
    half_px = plan.halves_px[-1]
    top, left = (jnp.floor(x).astype(jnp.int32) - half_px for x in (row, col))
    side = 2 * half_px + 2
    rows, cols = top + jnp.arange(side), left + jnp.arange(side)
    label = c.placed + 1

    def stamp(half_px: int):
        around = plan.halves_px[-1] - half_px
        near = slice(around, side - around)
        field = _stamp(
            bank,
            candidates.outline[k],
            rows[near] - row,
            cols[near] - col,
            candidates.factor[k],
            candidates.angle[k],
        )
        dome = jnp.sqrt(jnp.clip(field, 0, 1))
        value = label * 256 + jnp.round(dome * 255).astype(jnp.int32)
        return jnp.pad(jnp.where(field > 0, value, 0), around)

    # Sampling costs most: a small particle is sampled on a small patch. What a branch returns is
    # also computed just once, not again for each of its uses.
    value = jax.lax.switch(candidates.stamp[k], [partial(stamp, h) for h in plan.halves_px])
    drawn = value > 0

    edge = _edge_px(plan)
    corner = (top + edge, left + edge)
    below = jax.lax.dynamic_slice(c.pixels, corner, (side, side))
    label_below = below >> 8
    in_rows = (rows >= 0) & (rows < plan.tile_px[0])
    in_cols = (cols >= 0) & (cols < plan.tile_px[1])
    inside = in_rows[:, None] & in_cols[None, :]
    area = drawn.sum()
    taken = drawn & (label_below > 0)
    hidden = jnp.zeros_like(c.visible).at[label_below].add(taken.astype(jnp.int32))
    left_over = c.visible - hidden
    fits = (
        (area > 0)
        & (taken.sum() <= rules.max_overlap * area)
        & jnp.all((hidden == 0) | (left_over >= rules.min_visible * c.whole))
    )
    gain = (drawn & inside & (label_below == 0)).sum()
    covered = c.covered + gain
    in_tile = c.in_tile + (drawn & inside).any()
    if plan.by_count:
        accept, full = fits, fits & (in_tile >= number)
    else:
        # The last particle is the one after which the next would lead away from the target.
        # Where any is wanted, the first stays: a generator cannot make a picture of nothing.
        beyond = (covered - target_px > target_px - c.covered) & (gain > 0) & (c.covered > 0)
        accept, full = fits & ~beyond, fits & (beyond | (covered >= target_px))

    pixels = jnp.where(drawn & accept, value, below)
    at = jnp.where(accept, label, 0)

    def note(slots, value):
        return slots.at[at].set(jnp.where(accept, value, slots[0]))

    return Canvas(
        tried=k + 1,
        placed=c.placed + accept,
        done=full,
        pixels=jax.lax.dynamic_update_slice(c.pixels, pixels, corner),
        covered=jnp.where(accept, covered, c.covered),
        in_tile=jnp.where(accept, in_tile, c.in_tile),
        whole=note(c.whole, area),
        visible=note(jnp.where(accept, left_over, c.visible), area),
        row=note(c.row, row),
        col=note(c.col, col),
    )


def _edge_px(plan: Plan) -> int:
    """Measure the canvas beyond the tile: patches of all candidates lie within."""
    return plan.margin_px + CELL_PX + plan.halves_px[-1] + 1


def _stamp(bank: Bank, outline, dy, dx, factor, angle) -> jax.Array:
    """Sample a turned and resized outline at offsets from its centroid. float32 (side, side)."""
    side = bank.fields.shape[-1]
    cos, sin = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    y = cos * dy[:, None] - sin * dx[None, :] + bank.centroids[outline, 0]
    x = sin * dy[:, None] + cos * dx[None, :] + bank.centroids[outline, 1]
    # What lies beyond the square reads its rim, which is outside of every particle.
    y, x = (jnp.clip(v, 0, side - 1.001) for v in (y, x))
    i, j = y.astype(jnp.int32), x.astype(jnp.int32)
    v, u = y - i, x - j
    flat = bank.fields.reshape(-1)
    at = (outline * side + i) * side + j
    top = flat[at] * (1 - u) + flat[at + 1] * u
    bottom = flat[at + side] * (1 - u) + flat[at + side + 1] * u
    return top * (1 - v) + bottom * v


def _draw_candidates(key, target, bank: Bank, rules: Rules, plan: Plan) -> Candidates:
    """Draw where the candidates lie, which outlines they take, their sizes and angles."""
    key_noise, key_turn, key_grid, key_all = jax.random.split(key, 4)
    margin = plan.margin_px // CELL_PX
    tile = tuple(-(-n // CELL_PX) for n in plan.tile_px)
    cells = tuple(n + 2 * margin for n in tile)

    def draw_noise(key, octaves):
        frequency = plan.noise_frequency * CELL_PX * max(cells) / max(plan.tile_px)
        return perlin(key, cells, frequency=frequency, octaves=octaves)

    if plan.placement == "perlin":
        noise = draw_noise(key_noise, plan.noise_octaves)
        within = noise[margin : margin + tile[0], margin : margin + tile[1]]
        threshold = within.min() + rules.noise_threshold * (within.max() - within.min())
        if not plan.by_count:
            share = jnp.clip(1 - ROOM * target, 0, 1)
            threshold = jnp.minimum(threshold, jnp.quantile(within, share))
        patches = noise >= threshold
    else:
        patches = jnp.ones(cells, bool)

    # Rows and columns are counted in cells until the end.
    # One call draws for all: generators are slow to compile.
    if plan.grid == "none":
        uniform = jax.random.uniform(key_all, (6, plan.n_candidates))
        row, col = _scatter(uniform[3:], patches)
        usable = jnp.int32(plan.n_candidates)
    else:
        row, col = _grid_points(key_grid, cells, rules, plan)
        allowed = patches[row.astype(jnp.int32), col.astype(jnp.int32)]
        usable = allowed.sum()
        order = jnp.argsort(~allowed, stable=True)
        row, col = row[order], col[order]
        uniform = jax.random.uniform(key_all, (3, len(row)))

    if plan.rotation == "random":
        angle = 2 * jnp.pi * uniform[0]
    elif plan.rotation == "correlated":
        # The noise is symmetric about 0 and seldom beyond 0.5: most angles within a full turn.
        turn = draw_noise(key_turn, 1)
        angle = 2 * jnp.pi * turn[row.astype(jnp.int32), col.astype(jnp.int32)]
    else:
        angle = jnp.zeros_like(row)
    outline = _choose(uniform[1], len(bank.fields))
    factor = _factors(uniform[2], rules, plan)
    reach = jnp.ceil(bank.radii[outline] * factor) + 1
    return Candidates(
        row=(row - margin) * CELL_PX - 0.5,
        col=(col - margin) * CELL_PX - 0.5,
        outline=outline,
        factor=factor,
        angle=angle,
        stamp=(reach[:, None] > jnp.array([plan.halves_px[:-1]])).sum(1),
        usable=usable,
    )


def _choose(uniform, n) -> jax.Array:
    """Turn numbers in [0, 1) into int32 below `n`, all equally likely."""
    return jnp.minimum((uniform * n).astype(jnp.int32), n - 1)


def _scatter(uniform, patches) -> tuple[jax.Array, jax.Array]:
    """Spread points evenly over the cells that are set, by numbers (3, n) in [0, 1).

    Returns rows and columns in cells, float32 (n,).
    """
    passed = jnp.cumsum(patches.reshape(-1))
    cell = jnp.searchsorted(passed, _choose(uniform[0], passed[-1]), side="right")
    return cell // patches.shape[1] + uniform[1], cell % patches.shape[1] + uniform[2]


def _grid_points(
    key, cells: tuple[int, int], rules: Rules, plan: Plan
) -> tuple[jax.Array, jax.Array]:
    """Points of the jittered grid in random order. Rows and columns in cells, float32."""
    key_order, key_jitter, key_origin = jax.random.split(key, 3)
    hexagonal = plan.grid == "hexagonal"
    spacing = plan.spacing_px / CELL_PX
    step = (spacing * (3**0.5 / 2 if hexagonal else 1.0), spacing)
    n_rows, n_cols = (int(n / d) + 1 for n, d in zip(cells, step, strict=True))
    row, col = (x.reshape(-1) for x in jnp.indices((n_rows, n_cols)))
    col = col + (row % 2) * (0.5 if hexagonal else 0.0)
    points = jnp.stack([row * step[0], col * step[1]])
    points += (jax.random.uniform(key_origin, (2, 1)) - 0.5) * jnp.array(step)[:, None]
    points += rules.jitter_px / CELL_PX * jax.random.uniform(key_jitter, points.shape, minval=-1.0)
    points = jax.random.permutation(key_order, points, axis=1)
    return jnp.clip(points[0], 0, cells[0] - 0.01), jnp.clip(points[1], 0, cells[1] - 0.01)


def _factors(uniform, rules: Rules, plan: Plan) -> jax.Array:
    """Turn numbers in [0, 1) into factors on the size. float32, within `size_range`."""
    low, high = rules.size_range
    sigma = rules.size_sigma
    if plan.size == "none":
        return jnp.ones_like(uniform)
    if plan.size == "uniform":
        return low + (high - low) * uniform
    # Cut distributions rather than clipped values: no pile of particles at the bounds.
    limit = 3.0
    if plan.size == "lognormal":
        low, high, limit = jnp.log(low), jnp.log(high), LIMIT
    else:
        low, high = low - 1, high - 1
    least, most = (ndtr(jnp.clip(x / sigma, -limit, limit)) for x in (low, high))
    shift = sigma * ndtri(least + (most - least) * uniform)
    return jnp.exp(shift) if plan.size == "lognormal" else 1 + shift


def _crop(c: Canvas, edge: int, plan: Plan) -> dict[str, jax.Array]:
    """Cut the tile out of the canvas; number the particles seen in it without gaps."""
    height, width = plan.tile_px
    pixels = c.pixels[edge : edge + height, edge : edge + width]
    labels = pixels >> 8
    visible = jnp.zeros_like(c.visible).at[labels].add(1)
    seen = (visible > 0).at[0].set(False)
    number = jnp.where(seen, jnp.cumsum(seen), 0).astype(jnp.int32)
    order = jnp.argsort(~seen, stable=True)[: plan.slots]
    count = seen.sum()
    kept = jnp.arange(plan.slots) < count

    def pick(slots):
        return jnp.where(kept, slots[order], 0)

    return dict(
        labels=number[labels],
        domes=(pixels & 255).astype(jnp.uint8),
        n_placed=count,
        whole_area_px=pick(c.whole),
        visible_area_px=pick(visible),
        row=pick(c.row),
        col=pick(c.col),
        foreground=(labels > 0).mean(),
    )
