"""Every setting at its default; see `semjax/settings.py` for what each means.

A start for your own material: copy this file, set `data.images`, `data.outlines` and, if the
instrument writes no pixel size into the files, `data.pixel_size_nm`; or give them on the command
line:

    python launch.py --config=configs/default.py --config.data.images=my/images \
        --config.data.outlines=my/outlines --workdir=runs/mine
"""

from semjax import settings, variants


def get_config(variant="auto"):
    """Default settings; the variant follows a colon: `configs/default.py:cpu`."""
    config = settings.get_config()
    config.variant = variants.check_name(variant)
    return config
