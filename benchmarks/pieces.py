"""The list of what is measured, with its sizes and targets.

On a CPU the sizes are those of the variant `cpu`, on an accelerator those of `gpu`. The published
CycleGANs are too slow for two cores at their full sizes: there they get one tile of 128 px.
"""

from typing import Any, NamedTuple

PEERS = ("eager", "compiled")


class Piece(NamedTuple):
    """One row of the table.

    Attributes:
        kind: what is done, see `ours` and `peers.run`.
        what: in words.
        variant: of the settings.
        changes: to the stage's section of the settings, or what else the kind takes.
        peers: the sides to compare with.
        must: largest ratio to the better peer or, where there is no peer, largest time in s.
        goal: likewise.
        point: whether it is only a point of a curve, and no row of the table.
        devices: how many share the work, simulated ones on a CPU; None for all there are.
    """

    kind: str
    what: str
    variant: str = "cpu"
    changes: dict[str, Any] = {}
    peers: tuple[str, ...] = PEERS
    must: float | None = 1.0
    goal: float | None = 0.8
    point: bool = False
    devices: int | None = None


def list_pieces(on_cpu: bool) -> dict[str, Piece]:
    """All pieces by name, in the order of the table."""
    variant = "cpu" if on_cpu else "gpu"
    full = {"tile_px": (128, 128), "batch_size": 1} if on_cpu else {"dtype": "bfloat16"}
    image = {"image_px": (712, 1024), "tile_px": (720, 576)}
    narrow, wide = {"filters": 8} | image, {"filters": 16} | image

    def alone(kind: str, what: str, must: float | None, goal: float | None, **changes: Any):
        return Piece(kind, what, variant, changes, (), must, goal)

    pieces = {
        "wgan_gp": Piece("wgan_gp", "WGAN-GP, one step", variant),
        "cyclegan": Piece("cyclegan", "CycleGAN, one step", variant),
        "cyclegan_v100": Piece("cyclegan", "CycleGAN, networks of v1.0.0", "v100", full),
        "cyclegan_v120": Piece("cyclegan", "CycleGAN, networks of v1.2.0", "v120", full),
        "segmenter": Piece("segmenter", "MultiResUNet, one step", variant),
        "classifier": Piece("classifier", "classifier, one step", variant),
        "predict_8": Piece(
            "predict", "712 x 1024 px, 8 filters, network", variant, narrow, must=None, goal=None
        ),
        "predict_16": Piece(
            "predict", "712 x 1024 px, 16 filters, network", variant, wide, must=None, goal=None
        ),
        "path_8": alone("path", "the same, 8 filters, up to the table", 2.5, 1.5, **narrow),
        "path_16": alone(
            "path",
            "the same, 16 filters, up to the table",
            5.0 if on_cpu else None,
            3.0 if on_cpu else 0.05,
            **wide,
        ),
        "masks": alone(
            "masks", "1000 masks of 384 x 384 px", 60.0, 20.0 if on_cpu else 1.0, n=1000
        ),
        "import": alone("import", "import semjax", None, None),
        "help": alone("help", "semjax run --help", None, None),
        "second_start": alone("second_start", "a finished workflow, started again", 10.0, 5.0),
    }
    return pieces | _curve_points(pieces)


# Time against work: for each curve, its unit, and for each point the piece's name.
CURVES: dict[str, tuple[str, dict[float, str]]] = {
    "MultiResUNet, one step": (
        "side of a tile / px",
        {64: "segmenter_64px", 128: "segmenter_128px", 256: "segmenter_256px"},
    ),
    "MultiResUNet, tiles of 128 px": (
        "tiles in a batch",
        {2: "segmenter_n2", 8: "segmenter_128px", 16: "segmenter_n16"},
    ),
    "MultiResUNet, one batch": (
        "devices that share it (simulated on a CPU)",
        {1: "segmenter_on_1", 2: "segmenter_on_2", 4: "segmenter_on_4", 8: "segmenter_on_8"},
    ),
    "prediction, 8 filters": (
        "size of the image / megapixel",
        {0.26: "predict_512", 0.73: "predict_8", 2.36: "predict_1536"},
    ),
    "masks of 384 px": ("masks", {100: "masks_100", 300: "masks_300", 1000: "masks"}),
}


def _curve_points(pieces: dict[str, Piece]) -> dict[str, Piece]:
    def change(name: str, **changes: Any) -> Piece:
        piece = pieces[name]
        return piece._replace(
            what=f"{piece.what}, {changes}",
            changes=piece.changes | changes,
            peers=piece.peers[:1],  # without torch.compile: half a minute for each point
            must=None,
            goal=None,
            point=True,
        )

    points = {f"segmenter_{px}px": change("segmenter", tile_px=(px, px)) for px in (64, 128, 256)}
    for n in (2, 16):
        points[f"segmenter_n{n}"] = change("segmenter", tile_px=(128, 128), batch_size=n)
    for n in (1, 2, 4, 8):
        points[f"segmenter_on_{n}"] = pieces["segmenter"]._replace(
            what=f"MultiResUNet, one step on {n} devices",
            peers=(),
            must=None,
            goal=None,
            point=True,
            devices=n,
        )
    points |= {f"predict_{px}": change("predict_8", image_px=(px, px)) for px in (512, 1536)}
    return points | {f"masks_{n}": change("masks", n=n) for n in (100, 300)}
