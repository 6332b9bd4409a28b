"""Checks before training: every problem is found, at once, with its cure."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from semjax import allowed, settings, validate


@pytest.fixture
def config():
    config = settings.get_config()
    config.data.source = "tio2"
    return config


def test_default_settings_pass(config):
    assert validate.check(config) == []


@pytest.mark.parametrize("name", [*allowed.CHOICES, *allowed.RANGES, *allowed.SPANS])
def test_every_checked_setting_exists_and_its_default_passes(config, name):
    section, _, option = name.rpartition(".")
    assert option in (config[section] if section else config)


def test_every_setting_with_a_choice_or_a_bound_is_checked(config):
    # Kinds of settings that need no check: free text, switches and those of check's own rules.
    checked = {*allowed.CHOICES, *allowed.RANGES, *allowed.SPANS}
    own_rules = ("tile_px", "log_every", "save_every", "learning_rate", "phantom_px")
    own_rules += ("exclude", "test_images")
    missing = [
        f"{section}.{option}"
        for section, values in config.items()
        if hasattr(values, "items")
        for option, value in values.items()
        if not isinstance(value, bool)
        and not (isinstance(value, str) and section == "data" and option != "source")
        and option not in own_rules
        and f"{section}.{option}" not in checked
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"masks.density": "matched"}, "masks.density"),
        ({"seed": -1}, "seed"),
        ({"variant": "big"}, "variant"),
        ({"masks.max_overlap": 1.5}, "masks.max_overlap"),
        ({"masks.size_range": (1.8, 0.4)}, "masks.size_range"),
        ({"masks.size_range": (0.4,)}, "masks.size_range"),
        ({"masks.size_range": (1.2, 1.8)}, "masks.size_range"),
        ({"masks.n_masks": 1}, "masks.n_masks"),
        ({"translate.pool": 3}, "translate.pool"),
        ({"translate.tile_px": (100, 384)}, "translate.tile_px"),
        ({"translate.tile_px": (768, 768)}, "translate.tile_px"),
        ({"translate.tile_px": (48, 48)}, "translate.tile_px"),
        ({"segment.tile_px": (250, 250)}, "segment.tile_px"),
        ({"segment.tile_px": (512, 512)}, "segment.tile_px"),
        ({"measure.tile_px": (512,)}, "measure.tile_px"),
        ({"segment.batch_size": 0}, "segment.batch_size"),
        ({"segment.filters": 1}, "segment.filters"),
        ({"segment.save_every": 75}, "segment.save_every"),
        ({"classify.log_every": 0}, "classify.log_every"),
        ({"shapes.learning_rate": 0.0}, "shapes.learning_rate"),
        ({"segment.target": "mask"}, "measure.split"),
        ({"data.scale_bar_nm": 500.0}, "data.scale_bar_px"),
        ({"data.scale_bar_px": 120.0}, "data.scale_bar_nm"),
        (
            {"data.scale_bar_nm": 500.0, "data.scale_bar_px": 120.0, "data.pixel_size_nm": 4.0},
            "data.pixel_size_nm",
        ),
        ({"data.scale_bar_nm": -500.0}, "data.scale_bar_nm"),
        ({"data.calibration": 0.0}, "data.calibration"),
        ({"data.calibration_uncertainty": 1.0}, "data.calibration_uncertainty"),
        ({"data.contrast_low": 99.9}, "data.contrast_low"),
        ({"data.folder": "/nowhere"}, "data.folder"),
        ({"data.source": "phantom", "data.phantom_px": (96, 384)}, "data.phantom_px"),
        (
            {
                "data.source": "phantom",
                "data.phantom_px": (384, 384),
                "masks.source": "phantom",
                "masks.tile_px": (512, 512),
            },
            "data.phantom_px",
        ),
        ({"masks.source": "simulation"}, "masks.source"),
        ({"masks.source": "phantom"}, "masks.source"),
        ({"masks.source": "phantom", "translate.source": "phantom"}, "masks.source"),
        ({"translate.source": "phantom"}, "translate.source"),
        ({"data.source": "phantom", "translate.source": "phantom"}, "translate.source"),
        ({"data.source": "folder", "data.outlines": str(Path(__file__).parent)}, "data.images"),
        ({"data.source": "folder", "data.images": str(Path(__file__).parent)}, "data.outlines"),
    ],
)
def test_one_wrong_setting_is_the_one_named(config, change, named):
    config.update_from_flattened_dict(change)
    assert [p.name for p in validate.check(config)] == [f"config.{named}"]


def test_true_masks_and_micrographs_are_those_of_a_phantom(config):
    config.data.source = "phantom"
    config.masks.source = "phantom"
    assert validate.check(config) == []
    config.translate.source = "phantom"
    assert validate.check(config) == []
    config.data.source = "tio2"
    text = validate.describe(validate.check(config))
    assert "config.masks.source is 'phantom', but must be 'synthesis', unless" in text


def test_manual_pairs_need_the_truth(config):
    here = str(Path(__file__).parent)
    config.data.update(source="folder", images=here, outlines=here)
    config.segment.pairs = "manual"
    assert [p.name for p in validate.check(config)] == ["config.data.truth"]
    config.data.truth = here
    assert validate.check(config) == []


def test_all_problems_come_at_once_with_value_rule_and_cure(config):
    config.update_from_flattened_dict({"segment.steps": 0, "filter.threshold": "lee"})
    text = validate.describe(validate.check(config))
    assert "2 problems" in text
    assert "config.segment.steps is 0, but must be at least 1" in text
    assert "config.filter.threshold is 'lee', but must be one of li, otsu" in text


def picture(height, width, pixel_size_nm=5.0):
    image = np.zeros((height, width), np.float32)
    return SimpleNamespace(name="a", path=Path("a.tif"), image=image, pixel_size_nm=pixel_size_nm)


def test_good_inputs_pass(config):
    outlines = np.ones((3, 64, 64), np.uint8)
    assert validate.check_inputs([picture(712, 1024)], outlines, config) == []
    assert validate.check_inputs(None, outlines, config) == []
    assert validate.check_inputs([picture(712, 1024)], None, config) == []


@pytest.mark.parametrize(
    ("images", "outlines", "words"),
    [
        ([], None, "number of images"),
        (
            [picture(712, 1024), picture(712, 1024, None)],
            None,
            r"pixel size is 'unknown for a', but must be known for all",
        ),
        ([picture(300, 1024)], None, r"a.tif is \(300, 1024\), but must be at least a tile"),
        (None, np.zeros((0, 64, 64), np.uint8), "number of outlines"),
        (None, np.ones((1, 400, 400), np.uint8), "square of 400 px"),
    ],
)
def test_bad_inputs_are_named(config, images, outlines, words):
    problems = validate.check_inputs(images, outlines, config)
    assert len(problems) == 1
    assert re.search(words, validate.describe(problems))


def test_given_masks_beside_the_synthesis_need_tiles_of_their_own(config):
    config.segment.pairs, config.data.truth = "manual", str(Path(__file__).parent)
    config.masks.tile_px = config.translate.tile_px = (128, 128)
    config.segment.tile_px = (256, 256)
    pictures = [picture(200, 300), picture(200, 300)]
    pictures[1].name = "b"
    (problem,) = validate.check_inputs(pictures, None, config, given={"segment": {"a", "c"}})
    assert "config.segment.tile_px, (256, 256)" in problem.allowed  # the second has no mask
    (problem,) = validate.check_inputs(pictures[1:], None, config, given={"segment": {"a"}})
    assert "images with masks to train segment on" in problem.name and problem.value == 1


def test_smoothing_must_not_take_thin_outlines_away(config):
    outlines = np.zeros((2, 64, 64), np.uint8)
    outlines[0, 20:40, 20:40] = 1
    outlines[1, 20:40, 30:34] = 1  # 4 px wide
    config.shapes.opening_px = 7
    assert validate.check_inputs(None, outlines[[0] * 30 + [1]], config) == []
    (problem,) = validate.check_inputs(None, outlines, config)
    assert problem.name == "config.shapes.opening_px" and "1 of 2 outlines" in problem.allowed
    config.shapes.opening_px = 3
    assert validate.check_inputs(None, outlines, config) == []
    config.shapes.opening_px, config.shapes.method = 7, "given"  # these stay as they are
    assert validate.check_inputs(None, outlines, config) == []


@pytest.mark.parametrize(
    ("name", "value"), [("segment.pairs", "tsem"), ("classify.labels", "manual")]
)
def test_files_of_the_published_data_need_that_source(config, name, value):
    config.update_from_flattened_dict({"data.source": "phantom", name: value})
    assert [p.name for p in validate.check(config)] == [f"config.{name}"]
    config.data.source = "tio2"
    assert validate.check(config) == []
