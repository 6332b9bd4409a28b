"""The paper's titanium dioxide: 40 micrographs, 40 outlines, no manual mask in training.

    python launch.py --config=configs/tio2.py          # accelerator: gpu, otherwise cpu
    python launch.py --config=configs/tio2.py:cpu      # small networks, two CPU cores
    python launch.py --config=configs/tio2.py:gpu      # full networks, one accelerator
    python launch.py --config=configs/tio2.py:v100     # the authors' recipe of the paper
    python launch.py --config=configs/tio2.py:v120     # the authors' newest recipe

The images are fetched on first use. The pixel size is read from the instrument's tags. The
manual masks score the result and take no part in it.

The paper's other two rows, with networks trained on its manual masks or on its TSEM pictures:

    python launch.py --config=configs/tio2.py --config.segment.pairs=manual --workdir=runs/manual
    python launch.py --config=configs/tio2.py --config.segment.pairs=tsem --workdir=runs/tsem

Source: Ruehle, Krumrey, Hodoroaba, Scientific Reports 11, 4942 (2021).
"""

from semjax import settings, variants


def get_config(variant="auto"):
    """Settings for the TiO2 images; the variant follows a colon."""
    config = settings.get_config()
    config.name = "tio2"
    config.variant = variants.check_name(variant)
    config.data.source = "tio2"
    config.score.legacy = True  # the paper's Table 1
    if variant not in ("v100", "v120"):  # which have tiles of their own
        config.measure.tile_px = (720, 576)  # two make a micrograph of 712 x 1024 px
    # The paper's validation images. They matter only where given masks train a network.
    config.data.test_images = ("1908256", "1908268", "1908282", "1908320", "1908324", "1908326")
    return config
