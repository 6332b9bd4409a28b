"""Everything tiny: each stage for a few steps, to see that all parts work together.

    python launch.py --config=configs/smoke.py

Takes about a minute on a CPU; the result means nothing.
"""

from semjax import settings, variants


def get_config(variant=""):
    """The phantom's settings made as small as they go."""
    config = settings.get_config()
    config.name = "smoke"
    config.variant = variants.check_name(variant)

    config.data.source = "phantom"
    config.data.phantom_images = 3
    config.data.phantom_px = (160, 160)
    config.data.phantom_pixel_size_nm = 5.0

    config.shapes.latent = 8
    config.shapes.generator_width = 8
    config.shapes.critic_width = 4
    config.shapes.steps = 6
    config.shapes.batch_size = 4
    config.shapes.n_critic = 1
    config.shapes.n_outlines = 16

    config.masks.n_masks = 12
    config.masks.tile_px = (64, 64)
    config.masks.noise_frequency = 1.0

    config.translate.tile_px = (64, 64)
    config.translate.foreground_range = (0.0, 1.0)
    config.translate.generator_width = 4
    config.translate.generator_downs = 2
    config.translate.generator_blocks = 1
    config.translate.discriminator = "v100"
    config.translate.discriminator_width = 4
    config.translate.steps = 6
    config.translate.batch_size = 2
    config.translate.pool = 4

    config.segment.filters = 4
    config.segment.tile_px = (64, 64)
    config.segment.steps = 6
    config.segment.batch_size = 2
    config.segment.held_out = 0.25

    config.classify.filters = 4
    config.classify.tile_px = (64, 64)
    config.classify.steps = 6
    config.classify.batch_size = 2

    config.measure.tile_px = (96, 96)
    config.measure.bootstrap = 50

    for section in (config.shapes, config.translate, config.segment, config.classify):
        section.log_every = 2
        section.save_every = 4
    return config
