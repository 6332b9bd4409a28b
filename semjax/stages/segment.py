"""Stage 5: learn to segment, from the synthetic pairs or from given masks."""

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from semjax import checkpoints, inputs, networks, optimizers, predict, stacks
from semjax.analysis import scores, split
from semjax.data import augment, batches
from semjax.learners.segmenter import segmenter
from semjax.report import figures
from semjax.training import fit
from semjax.workdir import Work, write_json

N_SHOWN = 6
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MAX_HELD_OUT = 64  # pairs; more do not make the choice of a threshold better


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the segmenter's model folder and `threshold.json`."""
    c = config.segment
    pictures, labels = _pairs(config, work)
    n_held_out = max(1, round(c.held_out * len(pictures)))
    order = np.random.default_rng([config.seed, 5]).permutation(len(pictures))
    held_out, training = order[:n_held_out][:MAX_HELD_OUT], order[n_held_out:]
    targets = [_targets(label, c.target) for label in labels]

    outputs = targets[0].shape[-1]
    kwargs = {"filters": c.filters, "outputs": outputs, "decoder": c.decoder, "dtype": c.dtype}
    network = networks.make(networks.SEGMENTERS, c.network, kwargs)
    share = float(np.mean([np.mean(targets[i][..., 0] > 127) for i in training]))
    learner = segmenter(
        network,
        optimizers.adam(optimizers.halving(c.learning_rate, every=c.halve_every)),
        tile_px=c.tile_px,
        positive_weight=((1.0 - share) / max(share, 1e-6)) ** c.balance,
    )

    def make(index, rng):
        image, target = pictures[training[index]], targets[training[index]]
        image, target = augment.crop(image, target, tile_px=c.tile_px, generator=rng)
        image, target = augment.dihedral(image, target, generator=rng)
        image = augment.photometric(
            image,
            brightness=c.brightness,
            contrast=c.contrast,
            noise=c.noise,
            blur_px=c.blur_px,
            generator=rng,
        )
        return {"images": image[..., None], "targets": target.astype(np.float32) / 255.0}

    def model_of(state):
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return predict.Model({}, network, variables)

    real = [picture.image for picture in inputs.micrographs(config, work)[:3]]

    def sample(state, step):
        """Held-out pairs and real images, each beside the first output and its labels."""
        model, tiles = model_of(state), []
        for image in [pictures[i] for i in held_out[:N_SHOWN]] + real:
            image = image[: config.measure.tile_px[0], : config.measure.tile_px[1]]
            output = predict.run_image(model, image, tile_px=config.measure.tile_px)
            found = predict.split_outputs(
                output, method=config.measure.split, threshold=0.5, min_distance_px=9
            )
            tiles += [figures.overlay(image, found), output[..., 0] * 2.0 - 1.0]
        figures.write_png(
            work.segment / "samples" / f"{step:06d}.png", figures.sheet(tiles, columns=6)
        )

    state = fit(
        learner,
        batches.training(len(training), make, batch_size=c.batch_size, seed=config.seed),
        work.segment,
        seed=config.seed,
        steps=c.steps,
        log_every=c.log_every,
        save_every=c.save_every,
        sample=sample,
    )
    model = model_of(state)
    table = _choose_threshold(config, model, [(pictures[i], labels[i]) for i in held_out])
    best = max(table, key=lambda row: row["f1_50"])
    write_json(work.segment / "threshold.json", {"threshold": best["threshold"], "tried": table})
    checkpoints.save_model(
        work.segment / "model",
        variables=model.variables,
        network=c.network,
        network_kwargs=kwargs,
        threshold=best["threshold"],
        split=config.measure.split,
    )
    return {"pairs": len(pictures), **{f"held-out {k}": v for k, v in best.items()}}


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


def _targets(labels: np.ndarray, target: str) -> np.ndarray:
    """(h, w, 1 or 3) uint8 0..255: what the network learns."""
    if target == "instances":
        channels = split.targets(labels)
    else:
        channels = (predict.classifier_input(np.zeros(labels.shape), labels)[..., 1] > 0,)
    return np.rint(np.stack(channels, axis=-1) * 255.0).astype(np.uint8)


def _choose_threshold(config: ConfigDict, model: predict.Model, pairs: list) -> list[dict]:
    """Scores on held-out pairs for each threshold; no real mask is looked at."""
    rows = []
    outputs = [
        predict.run_image(model, image, tile_px=_tile(config, image)) for image, _ in pairs
    ]
    for threshold in THRESHOLDS:
        found = []
        for output, (_, truth) in zip(outputs, pairs, strict=True):
            labels = predict.split_outputs(
                output, method=config.measure.split, threshold=threshold, min_distance_px=9
            )
            least = config.measure.min_area_px
            found.append(
                scores.score(scores.drop_specks(labels, least), scores.drop_specks(truth, least))
            )
        together = scores.pooled(found)
        rows.append({"threshold": threshold, "f1_50": together["f1_50"], "f1_75": together["f1_75"],
                     "image_iou": together["image_iou"]})
    return rows


def _tile(config: ConfigDict, image: np.ndarray) -> tuple[int, int]:
    """Synthetic pairs are predicted whole: they are tiles already."""
    return tuple(image.shape) if config.segment.pairs == "synthetic" else config.measure.tile_px
