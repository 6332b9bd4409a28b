"""Simulated micrographs with known particles: the whole workflow without any download.

    python launch.py --config=configs/phantom.py

Made for two CPU cores. The report holds the scores against the simulated truth.
"""

from semjax import settings, variants


def get_config(variant=""):
    """Settings for simulated micrographs, small enough for two CPU cores."""
    config = settings.get_config()
    config.name = "phantom"
    config.variant = variants.check_name(variant)

    config.data.source = "phantom"
    config.data.phantom_images = 12
    config.data.phantom_px = (384, 384)
    config.data.phantom_pixel_size_nm = 7.5

    config.shapes.generator_width = 64
    config.shapes.critic_width = 16
    config.shapes.steps = 240
    config.shapes.learning_rate = 1e-3
    config.shapes.n_critic = 2
    config.shapes.batch_size = 24
    config.shapes.n_outlines = 500

    config.masks.n_masks = 500
    config.masks.tile_px = (128, 128)
    config.masks.noise_frequency = 2.0
    config.masks.domed = 0.0  # its particles have bright rims and no dark lines between them

    config.translate.tile_px = (128, 128)
    config.translate.generator_width = 12
    config.translate.generator_downs = 2
    config.translate.generator_blocks = 4
    config.translate.discriminator = "v100"
    config.translate.discriminator_width = 24
    config.translate.upsample = "resize"
    config.translate.identity_weight = 0.0
    config.translate.steps = 850
    config.translate.batch_size = 2
    config.translate.ema_decay = 0.98
    config.translate.save_every = 250

    config.segment.blotches = 0.0  # its particles are even
    config.segment.filters = 6
    config.segment.tile_px = (128, 128)
    config.segment.steps = 500
    config.segment.batch_size = 4
    config.segment.halve_every = 150
    config.segment.save_every = 250

    config.classify.filters = 4
    config.classify.tile_px = (128, 128)
    config.classify.steps = 250
    config.classify.batch_size = 4
    config.classify.halve_every = 100
    config.classify.save_every = 150

    config.measure.tile_px = (384, 384)
    return config
