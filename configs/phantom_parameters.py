"""Do the exact parameters matter? The paper says that they hardly do; here it is asked.

    python launch.py --config=configs/phantom_parameters.py

The run itself is that of configs/phantom.py, in the same work folder. `table.csv`, `table.md` and
`table.png` there have a line for each of

    semjax          as it stands
    noise_off       particles anywhere in the masks, not in patches of noise
    uniform_sizes   all factors on an outline's size are equally likely
    no_filter       particles that a micrograph does not show stay in its mask
    flat_masks      the generator sees flat masks instead of reliefs
    no_mask_noise   masks become images without noise on them
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

CHANGES = {
    "noise_off": {"masks": {"placement": "uniform"}},
    "uniform_sizes": {"masks": {"size": "uniform"}},
    "no_filter": {"filter": {"threshold": "none"}},
    "flat_masks": {"translate": {"mask_input": "flat"}},
    "no_mask_noise": {"translate": {"mask_noise": 0.0}},
}


def get_config(variant=""):
    """Settings of configs/phantom.py with a row for each change."""
    phantom = runpy.run_path(str(Path(__file__).with_name("phantom.py")))
    config = phantom["get_config"](variant)
    for name, changes in CHANGES.items():
        config.rows[name] = ConfigDict({**changes, "score": {"beside": False}})
    return config
