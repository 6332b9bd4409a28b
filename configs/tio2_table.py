"""Every row of the paper's comparison on its titanium dioxide, in one table.

    python launch.py --config=configs/tio2_table.py          # or :cpu, :gpu

The run itself is that of configs/tio2.py, in the same work folder. Its rows share all stages that
they have in common with it and with each other. `table.csv`, `table.md` and `table.png` in the work
folder hold the scores on all images that have masks and on the paper's validation images.

Rows train on given masks or classes where their names say so, but never on those of the test
images: `mask_target` is the paper's own recipe for synthetic pairs, `tsem` and `manual` are its
other two training sets; `clean` shows the test images to no training, not even without masks; with
`_classes`, the classifier learns from a person's classes, as the
paper's does, and not from the synthesis.
"""

from ml_collections import ConfigDict

from semjax import settings, variants

SEGMENTERS = {
    "synthetic": {},
    "mask_target": {
        "segment": {"target": "mask", "balance": 1.0},
        "measure": {"split": "watershed"},
    },
    "tsem": {"segment": {"pairs": "tsem"}},
    "manual": {"segment": {"pairs": "manual"}},
}


def get_config(variant="auto"):
    """Settings of the table; the variant follows a colon."""
    config = settings.get_config()
    config.name = "tio2"
    config.variant = variants.check_name(variant)
    config.data.source = "tio2"
    config.score.legacy = True  # the paper's Table 1
    if variant not in ("v100", "v120"):  # which have tiles of their own
        config.measure.tile_px = (720, 576)  # two make a micrograph of 712 x 1024 px
    config.data.test_images = ("1908256", "1908268", "1908282", "1908320", "1908324", "1908326")
    config.rows.clean = ConfigDict({"data": {"clean": True}})
    for name, changes in SEGMENTERS.items():
        row = {**changes, "score": {"beside": False}}
        if changes:  # without any, it is the run itself
            config.rows[name] = ConfigDict(row)
        config.rows[f"{name}_classes"] = ConfigDict({**row, "classify": {"labels": "manual"}})
    return config
