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
    """

    kind: str
    what: str
    variant: str = "cpu"
    changes: dict[str, Any] = {}
    peers: tuple[str, ...] = PEERS
    must: float | None = 1.0
    goal: float | None = 0.8


def list_pieces(on_cpu: bool) -> dict[str, Piece]:
    """All pieces by name, in the order of the table."""
    variant = "cpu" if on_cpu else "gpu"
    small = {"tile_px": (128, 128), "batch_size": 1} if on_cpu else {}
    dtype = {} if on_cpu else {"dtype": "bfloat16"}
    wide = {"filters": 16, "tile_px": (512, 512)}
    narrow = {"filters": 8, "tile_px": (384, 384)}
    image = {"image_px": (712, 1024)}
    alone: dict[str, Any] = {"peers": ()}
    pieces = {
        "wgan_gp": Piece("wgan_gp", "WGAN-GP, one step", variant),
        "cyclegan": Piece("cyclegan", "CycleGAN, one step", variant),
        "cyclegan_v100": Piece(
            "cyclegan", "CycleGAN with the networks of v1.0.0", "v100", small | dtype
        ),
        "cyclegan_v120": Piece(
            "cyclegan", "CycleGAN with the networks of v1.2.0", "v120", small | dtype
        ),
        "segmenter": Piece("segmenter", "MultiResUNet, one step", variant),
        "classifier": Piece("classifier", "classifier, one step", variant),
        "predict_8": Piece(
            "predict", "712 x 1024 px, 8 filters, network", variant, narrow | image, must=None
        )._replace(goal=None),
        "predict_16": Piece(
            "predict", "712 x 1024 px, 16 filters, network", variant, wide | image
        )._replace(must=None, goal=None),
        "path_8": Piece(
            "path", "the same, 8 filters, up to the table", variant, narrow | image, **alone
        )._replace(must=2.5, goal=1.5),
        "path_16": Piece(
            "path", "the same, 16 filters, up to the table", variant, wide | image, **alone
        )._replace(must=5.0 if on_cpu else None, goal=3.0 if on_cpu else 0.05),
        "masks": Piece(
            "masks", "1000 masks of 384 x 384 px", variant, {"n": 1000}, **alone
        )._replace(must=60.0, goal=20.0 if on_cpu else 1.0),
        "import": Piece("import", "import semjax", **alone)._replace(must=None, goal=None),
        "help": Piece("help", "semjax run --help", **alone)._replace(must=None, goal=None),
        "second_start": Piece(
            "second_start", "a finished workflow, started again", **alone
        )._replace(must=10.0, goal=5.0),
    }
    return pieces | _curve_points(pieces)


# Time against work: for each curve, its unit, and for each point the piece's name.
CURVES: dict[str, tuple[str, dict[int, str]]] = {
    "MultiResUNet, one step": (
        "side of a tile / px",
        {64: "segmenter_64px", 128: "segmenter_128px", 256: "segmenter_256px"},
    ),
    "MultiResUNet, one step of 128 px": (
        "tiles in a batch",
        {2: "segmenter_n2", 8: "segmenter_128px", 16: "segmenter_n16"},
    ),
    "prediction, 8 filters": (
        "pixels",
        {512**2: "predict_512", 712 * 1024: "predict_8", 1536**2: "predict_1536"},
    ),
    "masks of 384 px": ("masks", {100: "masks_100", 300: "masks_300", 1000: "masks"}),
}


def _curve_points(pieces: dict[str, Piece]) -> dict[str, Piece]:
    def change(name: str, **changes: Any) -> Piece:
        piece = pieces[name]
        peers = tuple(side for side in piece.peers if side == "eager")
        return piece._replace(
            what=f"{piece.what}: {', '.join(map(str, changes.values()))}",
            changes=piece.changes | changes,
            peers=peers,
            must=None,
            goal=None,
        )

    points = {f"segmenter_{px}px": change("segmenter", tile_px=(px, px)) for px in (64, 128, 256)}
    points |= {
        f"segmenter_n{n}": change("segmenter", tile_px=(128, 128), batch_size=n) for n in (2, 16)
    }
    points |= {f"predict_{px}": change("predict_8", image_px=(px, px)) for px in (512, 1536)}
    return points | {f"masks_{n}": change("masks", n=n) for n in (100, 300)}
