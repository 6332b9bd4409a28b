"""The phantom with little training: something to look at after some five minutes on two cores.

    python launch.py --config=configs/small.py

The notebooks run it if they find no work folder. Its sizes are rough.
"""

from semjax import settings, variants


def get_config(variant=""):
    """The phantom's settings with fewer images, masks and steps."""
    config = settings.get_config()
    config.name = "small"
    config.variant = variants.check_name(variant)

    config.data.source = "phantom"
    config.data.phantom_images = 6
    config.data.phantom_px = (256, 256)
    config.data.phantom_pixel_size_nm = 7.5

    config.shapes.generator_width = 32
    config.shapes.critic_width = 8
    config.shapes.steps = 150
    config.shapes.learning_rate = 1e-3
    config.shapes.n_critic = 2
    config.shapes.batch_size = 24
    config.shapes.n_outlines = 300
    config.shapes.save_every = 50

    config.masks.n_masks = 300
    config.masks.tile_px = (128, 128)
    config.masks.noise_frequency = 2.0
    config.masks.domed = 0.0  # its particles have bright rims and no dark lines between them

    config.translate.tile_px = (128, 128)
    config.translate.generator_width = 12
    config.translate.generator_downs = 2
    config.translate.generator_blocks = 3
    config.translate.discriminator = "v100"
    config.translate.discriminator_width = 16
    config.translate.upsample = "resize"
    config.translate.identity_weight = 0.0
    config.translate.steps = 400
    config.translate.batch_size = 2
    config.translate.ema_decay = 0.95
    config.translate.save_every = 100

    config.segment.blotches = 0.0  # its particles are even
    config.segment.filters = 5
    config.segment.tile_px = (128, 128)
    config.segment.steps = 450
    config.segment.batch_size = 4
    config.segment.halve_every = 150
    config.segment.save_every = 150

    config.classify.filters = 4
    config.classify.tile_px = (128, 128)
    config.classify.steps = 100
    config.classify.batch_size = 4
    config.classify.halve_every = 40
    config.classify.save_every = 50

    config.measure.tile_px = (256, 256)
    return config
