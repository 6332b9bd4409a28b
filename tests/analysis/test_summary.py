import json

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import agglomerates, distribution, nano, regions, summary

LENGTHS = ("min_feret", "max_feret", "equivalent_circular_diameter", "perimeter")
RATIOS = ("aspect_ratio", "circularity", "solidity")


def table(n=120, n_images=6, unit="nm", seed=0, pixel=5.0):
    """Particles like those of `particles.csv`; every fourth is dropped."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(np.log(150), 0.3, n)
    area = np.round((size / pixel) ** 2).astype(int)
    columns = {
        "image": [f"image_{i % n_images}" for i in range(n)],
        "label": np.arange(n),
        "border_weight": rng.uniform(1.05, 1.6, n),
        "area_px": area,
        f"min_feret_{unit}": size,
        f"max_feret_{unit}": 1.4 * size,
        f"equivalent_circular_diameter_{unit}": 1.2 * size,
        f"perimeter_{unit}": 4 * size,
        "aspect_ratio": 1 + rng.uniform(0.1, 1, n),
        "circularity": rng.uniform(0.6, 1, n),
        "solidity": rng.uniform(0.8, 1, n),
        "kept": np.arange(n) % 4 != 3,
    }
    if unit == "nm":
        columns["area_nm2"] = area * pixel**2
    particles = pd.DataFrame(columns)
    dropped = np.where(np.arange(n) % 8 == 3, "class score", "touches the border")
    particles["reason"] = np.where(particles["kept"], "", dropped)
    images = pd.DataFrame({"image": [f"image_{i}" for i in range(n_images)]})
    return particles, images.assign(pixel_size_nm=pixel if unit == "nm" else None)


def describe(particles, images, **keys):
    keys = {"unit": "nm", "border": "drop", "nano_nm": 100.0, "bootstrap": 50, "seed": 0} | keys
    found = summary.describe(particles, images, **keys)
    # Plain JSON values, whatever came in.
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_numbers_are_those_of_the_table():
    particles, images = table()
    found = describe(particles, images)
    kept = particles[particles["kept"]]
    counts = found["counts"]
    assert (counts["images"], counts["particles"], counts["kept"]) == (6, 120, 90)
    assert counts["excluded"] == {"class score": 15, "touches the border": 15}
    assert sum(counts["kept_per_image"].values()) == 90
    for name in (*LENGTHS, "area", *RATIOS):
        part = found["measurands"][name]
        column = {"area": "area_nm2"}.get(name, name if name in RATIOS else f"{name}_nm")
        values = kept[column].to_numpy(float)
        number = part["number"]
        assert part["n"] == 90 and part["definition"].endswith(".")
        assert number["mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert number["sd"] == pytest.approx(values.std(ddof=1), rel=1e-5)
        d10, d50, d90 = np.percentile(values, (10, 50, 90))
        measured = [number[key] for key in ("d10", "d50", "d90")]
        assert measured == pytest.approx([d10, d50, d90], rel=1e-5)
        assert number["skewness"] == pytest.approx(pd.Series(values).skew(), abs=0.1)
        for key in ("mean", "median", "d10", "d50", "d90", "geometric_mean", "geometric_sd"):
            low, high = number[f"{key}_interval"]
            assert low <= number[key] <= high
        histogram = part["histogram"]
        assert sum(histogram["counts"]) == 90
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    units = [found["measurands"][name]["unit"] for name in ("min_feret", "area", "solidity")]
    assert units == ["nm", "nm²", "1"]


def test_moments_and_weighting_are_hand_sums():
    particles, images = table(4)
    particles["kept"] = True
    sizes = np.array([10.0, 20.0, 20.0, 50.0])
    particles["min_feret_nm"], particles["area_nm2"] = sizes, sizes**2
    found = describe(particles, images)["measurands"]
    part = found["min_feret"]
    # Sums of x, x^2, x^3, x^4: 100, 3400, 142000, 6580000.
    assert part["moments"]["D[1,0]"] == pytest.approx(25)
    assert part["moments"]["D[3,2]"] == pytest.approx(142000 / 3400, rel=1e-5)
    assert part["moments"]["D[4,3]"] == pytest.approx(6580000 / 142000, rel=1e-5)
    assert part["area_weighted"]["mean"] == part["moments"]["D[3,2]"]
    assert part["volume_weighted"]["mean"] == part["moments"]["D[4,3]"]
    # An area is a length squared: its area-weighted mean is sum x^4 / sum x^2.
    assert found["area"]["area_weighted"]["mean"] == pytest.approx(6580000 / 3400, rel=1e-5)
    assert found["area"]["moments"] is None
    for name in RATIOS:
        nothing = {"moments": None, "area_weighted": None, "volume_weighted": None, "fits": None}
        assert found[name] | nothing == found[name]


def test_volume_weighted_lognormal_follows_hatch_and_choate():
    particles, images = table(20000, 20)
    found = describe(particles, images, bootstrap=0)["measurands"]["min_feret"]
    expected = 150 * np.exp(np.array([0.5, 2.5, 3.5]) * 0.3**2)
    assert list(found["moments"].values()) == pytest.approx(expected, rel=0.01)
    assert found["volume_weighted"]["d50"] == pytest.approx(150 * np.exp(3 * 0.3**2), rel=0.02)
    parameters = found["fits"]["lognormal"]["parameters"]
    assert [parameters["mu"], parameters["sigma"]] == pytest.approx([np.log(150), 0.3], abs=0.008)


def test_whole_weights_are_repeated_rows():
    particles, images = table(400)
    times = np.random.default_rng(1).integers(1, 4, 400)
    particles["border_weight"] = times.astype(float)
    one = describe(particles, images, border="weights", bootstrap=0)
    repeated = particles.loc[np.repeat(particles.index, times)]
    other = describe(repeated, images, bootstrap=0)
    for name, tolerance in (("mean", 1e-5), ("geometric_mean", 1e-5), ("d10", 0.02), ("d90", 0.02)):
        a, b = (x["measurands"]["min_feret"]["number"][name] for x in (one, other))
        assert a == pytest.approx(b, rel=tolerance)
    a, b = (x["measurands"]["min_feret"]["moments"] for x in (one, other))
    assert a == pytest.approx(b, rel=1e-5)
    a, b = (x["measurands"]["min_feret"]["fits"]["weibull"]["parameters"] for x in (one, other))
    assert a == pytest.approx(b, rel=1e-5)
    assert one["nano"]["share"] == pytest.approx(other["nano"]["share"])
    assert one["uncertainty"]["mean"] == pytest.approx(other["uncertainty"]["mean"])


def test_equal_weights_are_no_weights():
    particles, images = table()
    particles["border_weight"] = 1.25
    weighted, plain = (describe(particles, images, border=b) for b in ("weights", "drop"))
    for name in (*LENGTHS, "area"):
        a, b = (x["measurands"][name] for x in (weighted, plain))
        for key, value in b["number"].items():
            assert a["number"][key] == pytest.approx(value, rel=1e-4)
        assert a["fits"]["lognormal"]["p_value"] == b["fits"]["lognormal"]["p_value"]
    assert weighted["nano"] == plain["nano"]
    assert weighted["uncertainty"] == plain["uncertainty"]


def test_statistics_are_those_of_the_distribution_file():
    particles, images = table()
    kept = particles[particles["kept"]]
    found = describe(particles, images, border="weights")["measurands"]["max_feret"]["number"]
    values, weights = kept["max_feret_nm"].to_numpy(), kept["border_weight"].to_numpy()
    expected = distribution.summarize(values, weights, bootstrap=0, seed=0)
    for name in ("mean", "median", "sd", "d10", "d50", "d90", "geometric_mean", "geometric_sd"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_intervals_are_those_of_the_distribution_file():
    particles, images = table()
    kept = particles[particles["kept"]]
    found = describe(particles, images)["measurands"]["max_feret"]["number"]
    expected = distribution.summarize(
        kept["max_feret_nm"].to_numpy(), images=kept["image"].to_numpy(), bootstrap=50, seed=0
    )
    for name in summary.INTERVALS:
        assert found[f"{name}_interval"] == pytest.approx(expected[f"{name}_interval"], rel=1e-5)


def test_smallest_countable():
    particles, images = table()
    particles["min_feret_nm"] = np.where(np.arange(120) % 8 == 0, 49.0, 51.0)
    found = describe(particles, images)["smallest_countable"]
    assert found["size"] == 50 and found["pixel_size"] == 5
    assert found["share_below"] == pytest.approx(15 / 90, abs=1e-5) and "10 px" in found["warning"]
    particles["min_feret_nm"] = 51.0
    assert describe(particles, images)["smallest_countable"]["warning"] is None
    # A coarser image has its own limit.
    coarse = (particles["image"] == "image_0").to_numpy()
    particles.loc[coarse, "area_nm2"] *= 4
    found = describe(particles, images)["smallest_countable"]
    assert found["size"] == 100 and "differ" in found["note"]
    assert found["share_below"] == pytest.approx(coarse[particles["kept"]].mean(), abs=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("border", ["drop", "weights"])
@pytest.mark.parametrize("unit", ["nm", "px"])
def test_few_particles(n, border, unit):
    particles, images = table(n, max(n, 1), unit=unit, pixel=5.0 if unit == "nm" else 1.0)
    particles["kept"] = np.ones(n, bool)
    keys = {"border": border, "unit": unit, "calibration_uncertainty": 0.01}
    found = describe(particles, images, **keys)
    part = found["measurands"]["min_feret"]
    assert part["n"] == n and (part["note"] is None) == (n > 2)
    assert (part["number"]["mean"] is None) == (n == 0)
    assert (part["number"]["mean_interval"] is None) == (n < 5)
    assert (part["fits"]["weibull"] is None) == (n < 3)
    expected = nano.TOO_FEW if unit == "nm" else nano.NO_PIXEL_SIZE
    assert found["nano"]["statement"] == expected
    whole = describe(*table(unit=unit), unit=unit)
    assert set(found) == set(whole)
    for name in ("counts", "smallest_countable", "agglomerates", "uncertainty", "nano"):
        assert set(found[name]) == set(whole[name])
    for name, part in found["measurands"].items():
        assert set(part) == set(whole["measurands"][name])
        assert set(part["number"]) == set(whole["measurands"][name]["number"])


def test_empty_file_read_back(tmp_path):
    particles, images = table(0)
    particles.to_csv(tmp_path / "particles.csv", index=False)
    found = describe(pd.read_csv(tmp_path / "particles.csv"), images)
    assert found["counts"]["particles"] == 0 and found["counts"]["images"] == 6


def test_file_read_back_gives_the_same(tmp_path):
    particles, images = table()
    particles.to_csv(tmp_path / "particles.csv", index=False)
    assert describe(pd.read_csv(tmp_path / "particles.csv"), images) == describe(particles, images)


def test_a_spread_is_never_below_none():
    for seed in range(5):
        particles, images = table(5, seed=seed)
        particles["kept"] = True
        number = describe(particles, images)["measurands"]["min_feret"]["number"]
        low, high = number["geometric_sd_interval"]
        assert 1 <= low <= number["geometric_sd"] <= high


def test_equal_sizes_and_one_image():
    particles, images = table(40, 1)
    for name in LENGTHS:
        particles[f"{name}_nm"] = 80.0
    found = describe(particles, images)
    part = found["measurands"]["min_feret"]
    assert part["fits"] == {"lognormal": None, "weibull": None} and "equal" in part["note"]
    assert part["number"]["sd"] == 0 and part["number"]["geometric_sd_interval"] == [1, 1]
    assert part["histogram"]["counts"] == [30]
    assert found["intervals"]["drawn"] == "particles" and "1 image " in found["intervals"]["note"]
    assert found["nano"]["statement"] == nano.MEETS


def test_tables_that_do_not_agree():
    particles, images = table()
    found = describe(particles, images.iloc[:4])["counts"]
    assert found["images"] == 6 and "2 images" in found["note"]
    found = describe(particles, pd.DataFrame())["counts"]
    assert found["images"] == 6 and found["kept_per_image"]["image_0"] > 0
    more = pd.concat([images, pd.DataFrame({"image": ["empty"]})])
    assert describe(particles, more)["counts"]["kept_per_image"]["empty"] == 0


def test_gaps_are_left_out_and_said():
    particles, images = table()
    particles.loc[[0, 1], "min_feret_nm"] = np.nan
    found = describe(particles, images)
    assert found["counts"]["kept"] == 88 and "2 kept particles" in found["counts"]["note"]
    particles.loc[4, "border_weight"] = 0.0  # kept by hand, though the border cuts it
    found = describe(particles, images, border="weights")
    assert found["counts"]["kept"] == 87 and "border weight" in found["counts"]["note"]


def test_dropped_without_a_reason():
    particles, images = table()
    particles["reason"] = np.nan
    assert describe(particles, images)["counts"]["excluded"] == {"no reason given": 30}


def test_calibration_widens_the_share_of_nanoparticles():
    particles, images = table(600, 12)
    particles["min_feret_nm"] *= 0.6  # median 90 nm
    exact, rough = (
        describe(particles, images, calibration_uncertainty=x, bootstrap=200) for x in (0.0, 0.1)
    )
    assert exact["nano"]["share"] == rough["nano"]["share"]
    assert exact["nano"]["bootstrap_interval"] == rough["nano"]["bootstrap_interval"]
    assert rough["nano"]["interval"][0] < exact["nano"]["interval"][0]
    assert rough["nano"]["statement"] == nano.UNDECIDED


def test_agglomerates_of_measured_labels():
    labels = np.zeros((60, 60), np.int32)
    labels[10:20, 10:20], labels[10:20, 20:32], labels[40:50, 40:50] = 1, 2, 3
    particles = regions.measure(labels, pixel_size_nm=2.0)
    particles = particles.assign(image="a", kept=True, reason="")
    touching = agglomerates.groups(labels, pixel_size_nm=2.0).assign(image="a")
    found = describe(particles, pd.DataFrame({"image": ["a"]}), agglomerates=touching)
    assert found["agglomerates"]["groups"] == 1 and found["agglomerates"]["members"] == {"2": 1}
    assert found["agglomerates"]["area"]["max"] == 220 * 4


def test_bad_input():
    particles, images = table()
    with pytest.raises(ValueError, match="unit must be one of nm, px, got 'um'"):
        describe(particles, images, unit="um")
    with pytest.raises(ValueError, match="border must be one of"):
        describe(particles, images, border="keep")
    with pytest.raises(ValueError, match="lacks min_feret_px"):
        describe(particles, images, unit="px")
    with pytest.raises(ValueError, match="lacks border_weight"):
        describe(particles.drop(columns="border_weight"), images, border="weights")
