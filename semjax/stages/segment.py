"""Stage 5: learn to segment, from the synthetic pairs or from given masks."""

import itertools

import numpy as np
import pandas as pd
from absl import logging
from ml_collections import ConfigDict

from semjax import checkpoints, inputs, networks, optimizers, predict, processes, seeds, stacks
from semjax.analysis import edges, scores, split
from semjax.data import augment, batches, resident
from semjax.learners.segmenter import segmenter
from semjax.networks import norms
from semjax.report import figures
from semjax.synth import place
from semjax.training import fit
from semjax.workdir import Work, write_json

N_SHOWN = 8
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MAX_HELD_OUT = 128  # pairs; more do not make the choice of a threshold better
MAX_REAL = 8  # real images looked at for the same choice
AS_NEAR_PX = 0.1  # edges nearly as near half height are held to be equals
SMALLEST = 0.001  # share of the particles below the least area


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the segmenter's model folder and `threshold.json`."""
    c = config.segment
    pictures, labels = _pairs(config, work)
    if len(pictures) < 2:
        raise ValueError(
            f"segment needs at least 2 pairs to learn from; there are {len(pictures)}."
        )
    n_held_out = min(max(1, round(c.held_out * len(pictures))), len(pictures) - 1)
    order = np.random.default_rng([config.seed, 5]).permutation(len(pictures))
    held_out, training = order[:n_held_out][:MAX_HELD_OUT], order[n_held_out:]
    targets = [_targets(label, c.target, config.masks.line_px) for label in labels]

    kwargs = {
        "filters": c.filters,
        "outputs": targets[0].shape[-1],
        "decoder": c.decoder,
        "dtype": c.dtype,
    }
    network = networks.make(networks.SEGMENTERS, c.network, kwargs)
    share = float(np.mean([np.mean(targets[i][..., 0] > 127) for i in training]))
    learner = segmenter(
        network,
        optimizers.adam(optimizers.halving(c.learning_rate, every=c.halve_every)),
        tile_px=c.tile_px,
        positive_weight=((1.0 - share) / max(share, 1e-6)) ** c.balance,
    )

    grey = {name: c[name] for name in ("brightness", "contrast", "noise", "blur_px")}

    def make(index, rng):
        image, target = pictures[training[index]], targets[training[index]]
        image, target = augment.crop(image, target, tile_px=c.tile_px, generator=rng)
        image, target = augment.dihedral(image, target, generator=rng)
        image = augment.blotches(image, strength=c.blotches, generator=rng)
        image = augment.photometric(image, **grey, generator=rng)
        return {"images": image[..., None], "targets": target.astype(np.float32) / 255.0}

    def model_of(state):
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return predict.Model({}, network, variables)

    tile_px = pictures[0].shape if c.pairs == "synthetic" else config.measure.tile_px
    pool = inputs.unlabelled(config, inputs.micrographs(config, work))
    real = [picture.image for picture in pool]
    real = real[:: -(-len(real) // MAX_REAL)]

    def sample(state, step):
        """Held-out pairs, and middles of real images: found particles beside the first output."""
        model = model_of(state)
        middles = [_middle(image, (2 * tile_px[0], 2 * tile_px[1])) for image in real[:4]]
        for name, shown in (
            ("pairs", [pictures[i] for i in held_out[:N_SHOWN]]),
            ("real", middles),
        ):
            tiles = []
            for image in shown:
                output = predict.run_image(model, image, tile_px=tile_px)
                found = predict.split_outputs(output, method=config.measure.split)
                tiles += [figures.overlay(image, found), output[..., 0] * 2.0 - 1.0]
            path = work.segment / "samples" / f"{step:06d}_{name}.png"
            figures.write_png(path, figures.sheet(tiles, columns=8))

    seed = seeds.of_training(config.seed, c.repeat)
    if config.data.samples == "device":
        chosen = [pictures[i] for i in training], [targets[i] for i in training]
        sizes = {"tile_px": c.tile_px, "batch_size": c.batch_size}
        stream = resident.pairs(*chosen, **sizes, strength=c.blotches, **grey)
    else:
        stream = batches.training(len(training), make, batch_size=c.batch_size, seed=seed)
    state = fit(
        learner,
        stream,
        work.segment,
        seed=seed,
        steps=c.steps,
        log_every=c.log_every,
        save_every=c.save_every,
        sample=sample,
    )
    if not processes.leads():
        return {}

    again = batches.training(len(training), make, batch_size=c.batch_size, seed=seed)
    seen = (batch["images"] for batch in itertools.islice(again, norms.N_SETTLE))
    settled = norms.settle(network, state.params, state.batch_stats, seen)
    model = model_of(state.replace(batch_stats=settled))
    held_out_pairs = [(pictures[i], labels[i]) for i in held_out]
    tried = _try_thresholds(config, model, held_out_pairs, tile_px)
    # Pairs of real images know their edges themselves.
    best = _choose(tried, _offsets(config, model, real) if c.pairs == "synthetic" else {})
    threshold = best["threshold"]
    write_json(work.segment / "threshold.json", {"threshold": threshold, "tried": tried})
    checkpoints.save_model(
        work.segment / "model",
        variables=model.variables,
        network=c.network,
        network_kwargs=kwargs,
        split=config.measure.split,
        threshold=threshold,
        min_area_px=_least_area(config, work, labels),
    )
    return {"pairs": len(pictures), **{f"held-out {name}": best[name] for name in best}}


def _pairs(config: ConfigDict, work: Work) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images in [-1, 1] and their labels."""
    c = config.segment
    if c.pairs == "synthetic":
        fakes = stacks.read(work.translate / "fakes.tif")
        labels = stacks.read(work.filter / "labels.tif").astype(np.int32)
        return [fake.astype(np.float32) / 127.5 - 1.0 for fake in fakes], list(labels)
    pictures = {picture.name: picture.image for picture in inputs.micrographs(config, work)}
    shapes = {name: image.shape for name, image in pictures.items()}
    if c.pairs == "manual":
        labels = inputs.manual_labels(config, work, shapes)
    else:
        labels = inputs.tsem_labels(config, work, shapes)
    logging.info("segment: training on %d %s masks", len(labels), c.pairs)
    return [pictures[name] for name in labels], list(labels.values())


def _least_area(config: ConfigDict, work: Work, labels: list[np.ndarray]) -> int:
    """Area in px that hardly a particle of the pairs falls short of: smaller finds are noise.

    A particle of the masks counts with its whole outline, for hardly any piece is too small to be
    what others leave of it.
    """
    if config.segment.pairs == "synthetic":
        areas = pd.read_csv(work.filter / "particles.csv")["whole_area_px"].to_numpy()
    else:
        areas = np.concatenate([np.bincount(each.ravel())[1:] for each in labels])
        areas = areas[areas >= scores.MIN_AREA_PX]
    smallest = np.quantile(areas, SMALLEST) if areas.size else 0
    return max(int(smallest), scores.MIN_AREA_PX)


def _targets(labels: np.ndarray, target: str, line_px: int) -> np.ndarray:
    """(h, w, 1 or 3) uint8 0..255: what the network learns."""
    if target == "instances":
        channels = split.targets(labels)
    else:
        channels = (place.flat_mask(labels, line_px=line_px),)
    return np.rint(np.stack(channels, axis=-1) * 255.0).astype(np.uint8)


def _middle(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """At most `size` pixels from the middle of an image."""
    row, col = (max(n - m, 0) // 2 for n, m in zip(image.shape, size, strict=True))
    return image[row : row + size[0], col : col + size[1]]


def _offsets(config: ConfigDict, model: predict.Model, real: list) -> dict[float, float | None]:
    """How far the foreground of the real images reaches beyond their edges, in px, by threshold."""
    profiles = {threshold: [] for threshold in THRESHOLDS}
    for image in real:
        probability = predict.run_image(model, image, tile_px=config.measure.tile_px)[..., 0]
        for threshold, found in profiles.items():
            found.append(edges.half_height(image, probability >= threshold))
    return {t: edges.crossing(*np.sum(found, axis=0)) for t, found in profiles.items()}


def _choose(tried: list[dict], offsets: dict[float, float | None]) -> dict:
    """The threshold to use, without a look at any truth.

    Synthetic pairs cannot say it: a network is less sure of real images than of the fakes that it
    learned from, and finds their edges a little beside. So edges have to lie at half height of
    the real images; of thresholds that do so equally well, and where no offsets are known, the
    best on held-out pairs is taken.
    """
    for row in tried:
        row["edge_offset_px"] = offsets.get(row["threshold"])
    known = [row for row in tried if row["edge_offset_px"] is not None]
    nearest = min((abs(row["edge_offset_px"]) for row in known), default=0.0)
    equals = [row for row in known if abs(row["edge_offset_px"]) <= nearest + AS_NEAR_PX]
    return max(equals or tried, key=lambda row: row["pq"])


def _try_thresholds(
    config: ConfigDict, model: predict.Model, pairs: list, tile_px: tuple[int, int]
) -> list[dict]:
    """Scores on held-out pairs for each threshold; with synthetic pairs, no real mask is used."""
    outputs = [predict.run_image(model, image, tile_px=tile_px) for image, _ in pairs]
    truths = [scores.drop_specks(truth) for _, truth in pairs]
    rows = []
    for threshold in THRESHOLDS:
        found = []
        for output, truth in zip(outputs, truths, strict=True):
            labels = predict.split_outputs(output, method=config.measure.split, threshold=threshold)
            found.append(scores.score(scores.drop_specks(labels), truth))
        together = scores.pooled(found)
        shown = {name: together[name] for name in ("image_iou", "f1_50", "f1_75", "pq")}
        rows.append({"threshold": threshold, **shown})
    return rows
