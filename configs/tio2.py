"""The paper's titanium dioxide: 40 micrographs, 40 outlines, no manual mask in training.

    python launch.py --config=configs/tio2.py          # accelerator: gpu, otherwise cpu
    python launch.py --config=configs/tio2.py:cpu      # small networks, two CPU cores
    python launch.py --config=configs/tio2.py:gpu      # full networks, one accelerator
    python launch.py --config=configs/tio2.py:v100     # the authors' recipe of the paper
    python launch.py --config=configs/tio2.py:v120     # the authors' newest recipe

The images are fetched on first use. The pixel size is read from the instrument's tags. The
manual masks score the result and take no part in it.

Source: Ruehle, Krumrey, Hodoroaba, Scientific Reports 11, 4942 (2021).
"""

from semjax import settings, variants


def get_config(variant="auto"):
    """Settings for the TiO2 images; the variant follows a colon."""
    config = settings.get_config()
    config.name = "tio2"
    config.variant = variants.check_name(variant)
    config.data.source = "tio2"
    return config
