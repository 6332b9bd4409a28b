"""Stage 6: learn which segmented particles can be measured.

The labels come from the synthesis, which knows how much of each particle is visible and how well
the segmenter of stage 5 found it; or from classes that a person gave.
"""

import itertools

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from semjax import (
    checkpoints,
    inputs,
    networks,
    optimizers,
    predict,
    processes,
    seeds,
    stacks,
    workdir,
)
from semjax.analysis import evidence, kept, regions, scores
from semjax.data import augment, batches, resident
from semjax.learners.classifier import classifier
from semjax.networks import norms
from semjax.report import figures
from semjax.training import fit
from semjax.workdir import Work

N_SHOWN = 6


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the classifier's model folder."""
    c = config.classify
    samples = _from_synthesis(config, work) if c.labels == "synthesis" else _manual(config, work)
    if len(samples) < 2:
        raise ValueError(
            f"classify needs at least 2 images to learn from; there are {len(samples)}."
        )
    n_held_out = max(1, len(samples) // 5)
    held_out, training = samples[:n_held_out], samples[n_held_out:]
    kwargs = {"filters": c.filters, "outputs": 1, "decoder": c.decoder, "dtype": c.dtype}
    network = networks.make(networks.CLASSIFIERS, "multires_unet", kwargs)
    whole = [_whole(sample) for sample in training]
    good = sum(int(s["good"][found].sum()) for s, found in zip(training, whole, strict=True))
    total = sum(found.size for found in whole)
    learner = classifier(
        network,
        optimizers.adam(optimizers.halving(c.learning_rate, every=c.halve_every)),
        tile_px=c.tile_px,
        positive_weight=processes.agree(max(total - good, 1) / max(good, 1)),
    )

    grey = {name: config.segment[name] for name in ("brightness", "contrast", "noise", "blur_px")}

    def make(index, rng):
        image, labels = training[index]["image"], training[index]["labels"]
        image, labels = augment.crop(image, labels, tile_px=c.tile_px, generator=rng)
        image, labels = augment.dihedral(image, labels, generator=rng)
        image = augment.photometric(image, **grey, generator=rng)
        return {
            "images": predict.classifier_input(image, labels),
            "targets": training[index]["good"][labels][..., None].astype(np.float32),
            "where": _weights(labels, training[index]["judged"])[..., None],
        }

    seed = seeds.of_training(config.seed, c.repeat)
    if config.data.samples == "device":
        stream = resident.particles(
            [sample["image"] for sample in training],
            [sample["labels"] for sample in training],
            [sample["good"] for sample in training],
            [sample["judged"] for sample in training],
            tile_px=c.tile_px,
            batch_size=c.batch_size,
            **grey,
        )
    else:
        stream = batches.training(len(training), make, batch_size=c.batch_size, seed=seed)
    state = fit(
        learner,
        stream,
        work.classify,
        seed=seed,
        steps=c.steps,
        log_every=c.log_every,
        save_every=c.save_every,
    )
    if not processes.leads():
        return {}
    again = batches.training(len(training), make, batch_size=c.batch_size, seed=seed)
    seen = (batch["images"] for batch in itertools.islice(again, norms.N_SETTLE))
    settled = norms.settle(network, state.params, state.batch_stats, seen)
    variables = {"params": state.params, "batch_stats": settled}
    model = predict.Model({"evidence": None}, network, variables)
    scores_of = [_score(config, model, sample) for sample in held_out]
    if c.shape:
        tables = [regions.measure(sample["labels"]) for sample in held_out]
        model = _weigh(model, held_out, tables, scores_of)
        scores_of = [
            predict.weigh(model, score, table)
            for score, table in zip(scores_of, tables, strict=True)
        ]
    found = [_whole(sample) for sample in held_out]
    verdict = np.concatenate([s["good"][w] for s, w in zip(held_out, found, strict=True)])
    score = np.concatenate([s[w - 1] for s, w in zip(scores_of, found, strict=True)])
    sizes = [_sizes(s["labels"], w) for s, w in zip(held_out, found, strict=True)]
    wanted = [_sizes(s["measurable"], _whole(s, "measurable")) for s in held_out]
    threshold = c.threshold or evidence.choose_threshold(
        score, verdict, np.concatenate(sizes), np.concatenate(wanted)
    )
    checkpoints.save_model(
        work.classify / "model",
        variables=variables,
        network="multires_unet",
        network_kwargs=kwargs,
        threshold=threshold,
        **model.settings,
    )
    keep = score >= threshold
    tp, alike = np.count_nonzero(keep & verdict), np.count_nonzero(keep == verdict)
    _show(work, held_out, scores_of, threshold)
    return {
        "particles": total,
        "measurable share": good / max(total, 1),
        "threshold": threshold,
        "held-out accuracy": alike / keep.size if keep.size else None,
        "held-out F1": 2 * tp / max(np.count_nonzero(keep) + np.count_nonzero(verdict), 1),
    }


def _weights(labels: np.ndarray, judged: np.ndarray | None = None) -> np.ndarray:
    """Weights of a tile's pixels, float32 (h, w): those of each whole particle add up to 1.

    Particles cut by the tile's border count for nothing: whether they are good cannot be seen. Nor
    do those that are not judged, bool by label with 0 first.
    """
    area = np.bincount(labels.ravel()).astype(np.float32)
    weight = np.divide(1.0, area, out=np.zeros_like(area), where=area > 0)
    weight[0] = 0.0
    if judged is not None:
        weight[~judged[: weight.size]] = 0.0
    weight[np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])] = 0.0
    return weight[labels]


def _whole(sample: dict, name: str = "labels") -> np.ndarray:
    """Labels of a sample's judged particles that its border does not cut."""
    judged = sample["judged"] if name == "labels" else None
    return np.unique(sample[name][_weights(sample[name], judged) > 0])


def _sizes(labels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Minimum Feret diameters of some particles, in the order of their labels."""
    table = regions.measure(labels)
    return table.loc[table["label"].isin(chosen), "min_feret_px"].to_numpy()


def _score(config: ConfigDict, model: predict.Model, sample: dict) -> np.ndarray:
    """Class scores of a sample's particles, (N,)."""
    tile_px = tuple(np.minimum(sample["image"].shape, config.measure.tile_px))
    return predict.classify(model, sample["image"], sample["labels"], tile_px=tile_px)


def _weigh(
    model: predict.Model,
    samples: list[dict],
    tables: list[pd.DataFrame],
    scores_of: list[np.ndarray],
) -> predict.Model:
    """The model with the weights of the evidence, found on held-out particles.

    As it was if these are all alike.
    """
    collected, good = [], []
    for sample, table, score in zip(samples, tables, scores_of, strict=True):
        table = table[table["label"].isin(_whole(sample))]
        at = table["label"].to_numpy()
        collected.append(evidence.collect(table, score[at - 1]))
        good.append(sample["good"][at])
    verdict = np.concatenate(good)
    if verdict.all() or not verdict.any():
        return model
    fitted = evidence.fit(np.concatenate(collected), verdict)
    return model._replace(settings={"evidence": fitted})


def _from_synthesis(config: ConfigDict, work: Work) -> list[dict]:
    """The segmenter's labels of the fakes; a particle is good if it is whole and well found.

    A sample holds `image` (h, w), `labels` (h, w), `good` and `judged`, bool by label with 0 first,
    and `measurable` (h, w), the labels of all true particles that are whole, found or not.
    """
    c = config.classify
    fakes = stacks.read(work.translate / "fakes.tif")
    truths = stacks.read(work.filter / "labels.tif").astype(np.int32)
    particles = pd.read_csv(work.filter / "particles.csv")
    visible = particles["visible_area_px"] / particles["whole_area_px"]
    samples = []
    found = _find(fakes, work)
    for i, (image, truth, labels) in enumerate(zip(fakes, truths, found, strict=True)):
        whole = np.zeros(truth.max(initial=0) + 1, bool)
        rows = (particles["mask"] == i).to_numpy()
        whole[particles.loc[rows, "label"]] = visible[rows] >= c.min_visible
        pairs = scores.match(labels, truth)
        good = np.zeros(labels.max(initial=0) + 1, bool)
        good[pairs.predicted[(pairs.iou >= c.min_iou) & whole[pairs.truth]]] = True
        image = image.astype(np.float32) / 127.5 - 1.0
        measurable = np.where(whole[truth], truth, 0)
        known = {"good": good, "judged": np.ones_like(good), "measurable": measurable}
        samples.append({"image": image, "labels": labels, **known})
    return samples


def _find(fakes: np.ndarray, work: Work) -> np.ndarray:
    """The segmenter's labels of the fakes (n, h, w).

    Of several processes the first one finds them for all: machines round otherwise, and a pixel
    more or less makes other particles.
    """
    shared = work.classify / "found.npy"
    if processes.leads():
        segmenter = predict.load(work.segment / "model")
        least_px = segmenter.settings.get("min_area_px", scores.MIN_AREA_PX)
        found = np.stack(
            [
                scores.drop_specks(predict.split(segmenter, output), least_px)
                for output in _segment(segmenter, fakes)
            ]
        )
        if processes.place()[1] == 1:
            return found
        with workdir.whole(shared) as partial, partial.open("wb") as file:
            np.save(file, found)
    processes.meet("labels of the fakes")
    found = np.load(shared)
    processes.meet("labels are read")
    if processes.leads():
        shared.unlink(missing_ok=True)
    return found


def _segment(segmenter: predict.Model, fakes: np.ndarray):
    """The segmenter's outputs, one fake after the other: all at once could fill the memory."""
    n = predict.per_call(fakes.shape[1:])
    for start in range(0, len(fakes), 64):
        images = fakes[start : start + 64, ..., None].astype(np.float32) / 127.5 - 1.0
        yield from predict.run_batches(segmenter, images, batch_size=n, sigmoid=True)


def _manual(config: ConfigDict, work: Work) -> list[dict]:
    """Classes that a person gave, on the labels of the manual masks."""
    pictures = {picture.name: picture.image for picture in inputs.micrographs(config, work)}
    shapes = {name: image.shape for name, image in pictures.items()}
    samples = []
    for name, (labels, verdict) in inputs.manual_classes(config, work, shapes).items():
        good, judged = verdict == kept.GOOD, verdict != kept.OPEN
        measurable = np.where(good[labels], labels, 0)
        known = {"labels": labels, "good": good, "judged": judged, "measurable": measurable}
        samples.append({"image": pictures[name], **known})
    return samples


def _show(work: Work, samples: list[dict], scores_of: list[np.ndarray], threshold: float) -> None:
    """A picture of the first held-out samples: what is known, and what was found."""
    tiles = []
    for sample, score in zip(samples[:N_SHOWN], scores_of, strict=False):
        for keep in (sample["good"][1:], score >= threshold):
            tiles.append(figures.overlay(sample["image"], sample["labels"], keep))
    figures.write_png(
        work.classify / "samples" / "held_out.png",
        figures.sheet(tiles, columns=4, captions=["known", "found"] * (len(tiles) // 2)),
    )
