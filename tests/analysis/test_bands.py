"""Large images in bands of rows give what they give as a whole."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from semjax.analysis import agglomerates, bands, regions, scores, split, uncertainty


def blobs(shape, seed=0, sigma=3.0, share=0.35):
    """A segmenter's outputs (h, w, 3) that agree with each other: blobs, many of them touching."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    height = (field - np.quantile(field, 1 - share)) / field.std()
    particle, interior = (1 / (1 + np.exp(-4 * (height - at))) for at in (0, 0.5))
    return np.stack([particle, interior, (height / 3).clip(0, 1)], -1).astype(np.float32)


def divide(outputs):
    labels = split.markers(*np.moveaxis(outputs, -1, 0), min_marker_px=5)
    return scores.drop_specks(labels, 4)


def in_bands(outputs, band_px, step=7, divide=divide):
    parts = np.split(outputs, range(step, len(outputs), step))
    found = bands.split(parts, divide, height=len(outputs), threshold=0.5, band_px=band_px)
    labels, probability = (np.concatenate(rows) for rows in zip(*found, strict=True))
    assert np.array_equal(probability, outputs[..., 0]) and labels.dtype == np.int32
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(labels.max()) + 1)  # no gaps
    return labels


def renumber(labels):
    """Labels numbered by their first pixels."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, int)
    rank[np.argsort(first[1:]) + 1] = np.arange(1, first.size)
    rank[0] = 0
    return rank[inverse].reshape(labels.shape)


@pytest.mark.parametrize("shape", [(97, 83), (150, 41), (61, 200), (64, 64)])
@pytest.mark.parametrize("n", [21, 32])
def test_particles_are_those_of_the_whole_image(shape, n):
    outputs = blobs(shape, seed=shape[0])
    whole, found = divide(outputs), in_bands(outputs, n * shape[1])
    assert whole.max() >= 2
    assert found.max() == whole.max()
    assert np.array_equal(renumber(found), renumber(whole))
    # The same bands without waiting tear particles apart: this test can fail.
    torn = sum(divide(part).max() for part in np.split(outputs, range(n, len(outputs), n)))
    assert torn > found.max()


def test_a_small_image_keeps_even_its_numbers():
    outputs = blobs((80, 90))
    assert np.array_equal(in_bands(outputs, 80 * 90), divide(outputs))


def grid(rows, columns, radius=8, pitch=15):
    """Discs that touch their neighbours: one piece of foreground from the first row to the last."""
    y, x = np.mgrid[: rows * pitch + 6, : columns * pitch + 6]
    distance = np.full(y.shape, -1.0)
    for row in range(rows):
        for col in range(columns):
            there = np.hypot(y - row * pitch - 10, x - col * pitch - 10)
            distance = np.maximum(distance, 1 - there / radius)
    distance = distance.clip(0, 1)
    return np.stack([distance > 0, distance > 0.35, distance], -1).astype(np.float32)


def test_an_agglomerate_taller_than_bands_is_taken_apart_particle_by_particle():
    outputs = grid(20, 3)
    assert ndimage.label(outputs[..., 0] > 0.5)[1] == 1
    whole, found = divide(outputs), in_bands(outputs, 50 * outputs.shape[1], step=5)
    assert whole.max() == found.max() == 60
    assert (renumber(found) != renumber(whole)).mean() < 0.002


def test_a_particle_taller_than_bands_is_cut_and_nothing_is_lost():
    outputs = np.ones((400, 30, 3), np.float32)
    found = in_bands(outputs, 20 * 30, step=5)
    assert (found > 0).all()
    pieces = [np.flatnonzero((found == i).any(1)) for i in range(1, found.max() + 1)]
    assert all(piece.size >= 20 for piece in pieces[:-1])  # pieces of bands, not slivers


def test_bands_of_rows_follow_each_other():
    assert list(bands.rows(np.zeros((10, 4)), band_px=40)) == [slice(0, 10)]
    assert list(bands.rows(np.zeros((10, 4)), band_px=16)) == [
        slice(0, 4),
        slice(4, 8),
        slice(8, 10),
    ]
    assert list(bands.rows(np.zeros((3, 40)), band_px=16))[1] == slice(1, 2)  # at least a row


@pytest.mark.parametrize("seed", range(3))
def test_every_particle_is_whole_in_one_band(seed):
    labels = divide(blobs((120, 50), seed=seed))
    labels[labels == 3] = 0  # a number without pixels
    seen = np.zeros(labels.max() + 1, int)
    joined = np.zeros_like(labels)
    for rows, particles, numbers in bands.whole(labels, band_px=600):
        seen[numbers] += 1
        for i, number in enumerate(numbers, start=1):
            assert np.count_nonzero(particles == i) == np.count_nonzero(labels == number)
        joined[rows] += np.append(0, numbers)[particles].astype(np.int32)
    assert np.array_equal(joined, labels)
    assert seen[1:].tolist() == [0 if i == 3 else 1 for i in range(1, labels.max() + 1)]


@pytest.fixture
def narrow(monkeypatch):
    """All images are large."""
    monkeypatch.setattr(bands.whole, "__kwdefaults__", {"band_px": 700})
    monkeypatch.setattr(bands.rows, "__kwdefaults__", {"band_px": 700})


def test_tables_are_those_of_the_whole_image(narrow, monkeypatch):
    labels = divide(blobs((130, 60)))
    image = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    probability = blobs((130, 60))[..., 0]
    chosen = np.arange(1, labels.max() + 1)

    def look():
        return (
            regions.measure(labels, image, pixel_size_nm=2.0),
            agglomerates.groups(labels, pixel_size_nm=2.0),
            pd.DataFrame(
                uncertainty.at_thresholds(labels, probability, chosen, thresholds=(0.4, 0.5, 0.6))
            ),
        )

    found = look()
    monkeypatch.undo()
    for table, expected in zip(found, look(), strict=True):
        assert len(expected) > 5
        pd.testing.assert_frame_equal(table, expected, rtol=1e-12)


def test_a_large_image_without_particles_has_an_empty_table(narrow):
    empty = regions.measure(np.zeros((90, 60), np.int32))
    assert len(empty) == 0 and "border" in empty


def test_an_image_is_shrunk_to_means():
    image = np.arange(7 * 9, dtype=np.float32).reshape(7, 9)
    small = bands.shrink(image, 3)
    assert small.shape == (2, 3) and small[1, 2] == image[3:6, 6:9].mean()
