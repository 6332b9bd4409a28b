"""Stage 7: segment, split, classify and measure every real image, and bundle the model."""

from absl import logging
from ml_collections import ConfigDict

from semjax import inputs, measured, models, processes
from semjax.data import images
from semjax.workdir import Work


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the measured folder (see `measured`) and the model folder for further images.

    An interrupted stage goes on with the images that are not done. Processes share the images.
    """
    c = config.measure
    pictures = inputs.micrographs(config, work)
    unit = measured.check_units({picture.name: picture.pixel_size_nm for picture in pictures})
    if unit == "px":
        logging.warning("measure: no pixel size in the images' tags; results are in pixels")
    model = models.of_work(config, work)

    def measure(picture: images.Micrograph) -> None:
        origin = measured.origin_of(picture.path, model, pixel_size_nm=picture.pixel_size_nm)
        if not measured.is_done(work.measure, picture.name, origin):
            measured.measure(work.measure, model, picture, origin=origin, border=c.border)

    list(measured.in_turn(measure, processes.share(pictures)))
    processes.meet("measured")
    if not processes.leads():
        return {}
    facts = {
        "unit": unit,
        "border": c.border,
        "nano_nm": c.nano_nm,
        "bootstrap": c.bootstrap,
        "seed": config.seed,
        "model": measured.describe(model, path="../model"),
        "settings": {"made by": "run", **model.recipe},
    }
    rows, particles, summary = measured.finish(
        work.measure,
        [picture.name for picture in pictures],
        facts=facts,
        calibration_uncertainty=config.data.get("calibration_uncertainty") or None,
    )
    models.bundle(models.learn_ranges(model, rows, particles), work.model)
    return summary
