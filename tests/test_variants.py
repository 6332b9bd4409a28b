"""Variants: which is chosen, and what wins over what."""

import pytest

from semjax import settings, validate, variants


@pytest.mark.parametrize(
    ("asked", "platform", "recorded", "expected"),
    [
        ("auto", "cpu", None, "cpu"),
        ("auto", "gpu", None, "gpu"),
        ("auto", "tpu", None, "gpu"),
        ("gpu", "cpu", None, "gpu"),
        ("v100", "gpu", None, "v100"),
        ("", "gpu", None, ""),
        ("auto", "gpu", "cpu", "cpu"),
        ("auto", "cpu", "", ""),
        ("cpu", "gpu", "cpu", "cpu"),
    ],
)
def test_choice(asked, platform, recorded, expected):
    assert variants.choose(asked, platform=platform, recorded=recorded)[0] == expected


@pytest.mark.parametrize("asked", ["gpu", ""])
def test_another_variant_than_the_work_folders_is_refused(asked):
    with pytest.raises(ValueError, match="made with cpu.*--workdir"):
        variants.choose(asked, platform="cpu", recorded="cpu")


def test_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match="'tpu'.*auto, gpu, cpu, v100, v120"):
        variants.choose("tpu", platform="cpu")


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_every_variant_is_made_of_settings_that_can_work(name, tmp_path):
    config = settings.get_config()
    config.data.source = "tio2"
    config.lock()
    for path in variants.VARIANTS[name]:
        section, option = path.split(".")
        assert option in config[section]
    variants.lay(config, name, {})
    assert config.variant == name
    assert validate.check(config) == []


def test_the_users_values_win_over_the_variant():
    config = settings.get_config()
    overrides = {"segment.steps": 7, "variant": "auto"}
    name = variants.resolve(config, overrides, platform="cpu", device_kind="cpu")
    assert name == config.variant == "cpu"
    assert config.segment.steps == 7
    assert config.segment.filters == variants.VARIANTS["cpu"]["segment.filters"]


@pytest.mark.parametrize("name", ["", "cpu"])
def test_fixed_settings_win_over_the_variant_and_the_users_over_them(name):
    config = settings.get_config()
    config.fixed = {"masks": {"tile_px": (256, 256)}, "segment": {"steps": 5}}
    variants.lay(config, name, {"segment.steps": 7})
    assert config.masks.tile_px == (256, 256)
    assert config.segment.steps == 7
    assert not config.fixed


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"masks": {"tile": 3}}, "config.fixed.masks.tile is no setting"),
        ({"masks": 3}, "config.fixed.masks is 3; expected a section"),
        ({"masks": {"tile_px": "large"}}, "config.fixed.masks.tile_px: "),
    ],
)
def test_fixed_settings_that_are_none_are_refused(fixed, words):
    config = settings.get_config()
    config.fixed = fixed
    with pytest.raises(ValueError, match=words):
        variants.lay(config, "cpu", {})


def test_what_a_variant_replaces_is_told(caplog):
    config = settings.get_config()
    config.masks.n_masks, config.segment.steps, config.translate.steps = 100, 40, 50
    config.fixed = {"segment": {"steps": 40}}
    variants.lay(config, "cpu", {"translate.steps": 60})
    (said,) = [record.getMessage() for record in caplog.records]
    assert 'config.fixed = {"masks": {"n_masks": 100}}' in said
    assert (config.segment.steps, config.translate.steps) == (40, 60)


def test_the_estimate_is_of_the_device(monkeypatch):
    monkeypatch.setattr(variants, "MINUTES", {("cpu", "cpu"): 50.0, ("gpu", "H200"): 9.6})
    estimate = variants.estimate
    assert "50 minutes" in estimate("cpu", platform="cpu", device_kind="cpu")
    assert "10 minutes" in estimate("gpu", platform="gpu", device_kind="NVIDIA H200")
    assert "days" in estimate("gpu", platform="cpu", device_kind="cpu")
    assert "not been measured" in estimate("v100", platform="gpu", device_kind="NVIDIA A100")
