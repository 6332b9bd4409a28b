"""A large montage measured by a trained model: seconds, peak memory, particles.

    python benchmarks/montage.py runs/phantom/model 4096
    python benchmarks/montage.py runs/phantom/model 4096 --whole

The montage is made of simulated pictures, each mirrored at random, so that particles meet at the
seams too. `--whole` then runs the network on the image in one piece and splits it in one piece,
which takes some thousand bytes a pixel, and says which share of the pixels belongs to the same
particle (the one that it mostly lies in; numbers do not count), and to particles without any
difference.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from semjax import batch, models, predict
from semjax.analysis import scores
from semjax.data import images
from semjax.phantom import simulate

SIDE_PX = 384


def make(size: int) -> np.ndarray:
    """A montage (size, size), uint8."""
    rng = np.random.default_rng(0)
    shares = np.geomspace(0.03, 0.27, 8)
    pictures = [
        simulate(seed, image_px=(SIDE_PX, SIDE_PX), foreground=share).image
        for seed, share in enumerate(shares)
    ]
    montage = np.zeros((size, size), np.uint8)
    for row in range(0, size, SIDE_PX):
        for col in range(0, size, SIDE_PX):
            place = montage[row : row + SIDE_PX, col : col + SIDE_PX]
            picture = pictures[rng.integers(len(pictures))]
            mirrored = picture[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
            place[:] = mirrored[: place.shape[0], : place.shape[1]]
    return montage


def peak_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def split_whole(model: models.Model, path: Path) -> np.ndarray:
    """Labels of the image in one piece, which the network sees as a single tile."""
    image = images.read_micrograph(path, info_bar_px=0, **model.recipe["contrast"]).image
    tile_px = tuple(-(-side // predict.GRID_PX) * predict.GRID_PX for side in image.shape)
    outputs = predict.probabilities(
        model.segmenter, image, tile_px=tile_px, flips=model.recipe["flips"]
    )
    return scores.drop_specks(predict.split(model.segmenter, outputs), model.recipe["min_area_px"])


def same_shares(labels: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Shares of the pixels: in the same particle (or background), and in equal particles."""
    n = int(others.max(initial=0)) + 1
    pair = labels.ravel().astype(np.int64) * n + others.ravel()
    pairs, counts = np.unique(pair, return_counts=True)
    a, b = np.divmod(pairs, n)
    exact = (np.bincount(a)[a] == 1) & (np.bincount(b)[b] == 1)
    most = [np.zeros(side.max() + 1, int) for side in (a, b)]
    for side, largest in zip((a, b), most, strict=True):
        np.maximum.at(largest, side, counts)
    both = (counts == most[0][a]) & (counts == most[1][b])
    shares = (counts[mask | (pairs == 0)].sum() / pair.size for mask in (both, exact))
    return tuple(float(share) for share in shares)


def main() -> None:
    """Prints one line for the montage, and one for the comparison."""
    parser = argparse.ArgumentParser(description="a large montage measured by a trained model")
    parser.add_argument("model", type=Path, help="model folder or work folder")
    parser.add_argument("size", type=int, help="rows and columns of the montage")
    parser.add_argument("--whole", action="store_true", help="compare with the undivided image")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "montage.tif", Path(folder) / "out"
        tifffile.imwrite(path, make(options.size))
        before, start = peak_gib(), time.perf_counter()
        errors = batch.run(options.model, [path], out, info_bar_px=0)
        seconds = time.perf_counter() - start
        if errors:
            raise SystemExit(f"not measured: {errors}")
        labels = tifffile.imread(out / "labels" / "montage.tif")
        print(
            f"{options.size} px: {seconds:.0f} s, {1e6 * seconds / options.size**2:.2f} s/Mpx, "
            f"peak {peak_gib():.2f} GiB ({before:.2f} before), {labels.max()} particles"
        )
        if options.whole:
            whole = split_whole(models.load(options.model), path)
            alike, equal = same_shares(labels, whole)
            print(
                f"whole: {whole.max()} particles, {alike:.5%} of the pixels in the same one, "
                f"{equal:.5%} in equal ones, peak {peak_gib():.2f} GiB"
            )


if __name__ == "__main__":
    main()
