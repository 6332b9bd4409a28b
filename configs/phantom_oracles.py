"""Which stage costs how much: the phantom's workflow with true parts in place of learnt ones.

    python launch.py --config=configs/phantom_oracles.py

The run itself is that of configs/phantom.py, in the same work folder. `table.csv`, `table.md` and
`table.png` there have a line for each of

    semjax               everything learnt
    oracle_masks         true masks of new simulated micrographs go into the CycleGAN
    oracle_translation   true masks with their true micrographs, no filter: only the segmenter and
                         the classifier are learnt

so that the scores of segmentation say

    oracle_masks - semjax               what the synthesis of masks costs (shapes, masks)
    oracle_translation - oracle_masks   what the translation costs (translate, filter)
    1 - oracle_translation              what the segmenter costs that has the best pairs there are

and those of the chosen particles

    1 - "kept F1 on truth's masks"   what the classifier costs on particles found without error
    "..., truth's verdicts"          with the choice that the truth would make among the particles
                                     found: an error of sizes that is left is one of segmentation
                                     and contour

`kept.csv` and `sizes.csv` of each row have these in full. There, "truth's own masks" chosen by
"truth's verdicts" have the error of measuring alone, with rims that others cover. Trainings with
other seeds differ, too: a small difference of two rows means nothing.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

MASKS = {"masks": {"source": "phantom"}, "score": {"beside": False}}
TRANSLATION = {
    "translate": {"source": "phantom"},
    "filter": {"threshold": "none", "snap_edges": False},  # nothing is amiss
}


def get_config(variant=""):
    """Settings of configs/phantom.py with a row for each true part."""
    phantom = runpy.run_path(str(Path(__file__).with_name("phantom.py")))
    config = phantom["get_config"](variant)
    config.rows.oracle_masks = ConfigDict(MASKS)
    config.rows.oracle_translation = ConfigDict(MASKS | TRANSLATION)
    return config
