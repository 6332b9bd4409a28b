"""Variants of the workflow: which networks and how much training, for which machine.

A variant is laid over a config when the run starts, and never while the config file is read:
only then is it known whether there is an accelerator. `--config.section.name=value` wins over
the variant.
"""

from collections.abc import Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from semjax import settings

VARIANTS: dict[str, dict[str, Any]] = {
    # The default settings, with the half-precision activations that accelerators are fast in and,
    # as in the small variant, no identity loss: 115 PFLOP in all, by `python -m benchmarks.cost`.
    "gpu": {
        "data.samples": "device",
        "translate.identity_weight": 0.0,
        "translate.upsample": "resize",
        "translate.steps": 6000,
        "translate.dtype": "bfloat16",
        "segment.dtype": "bfloat16",
        "classify.dtype": "bfloat16",
    },
    # Small networks and tiles for two CPU cores.
    "cpu": {
        "shapes.generator_width": 64,
        "shapes.critic_width": 16,
        "shapes.steps": 400,
        "shapes.learning_rate": 1e-3,  # five times the published one, for fewer steps
        "shapes.batch_size": 32,
        "shapes.n_outlines": 1000,
        "masks.n_masks": 2000,
        "masks.tile_px": (128, 128),
        "masks.noise_frequency": 1.0,
        "translate.tile_px": (128, 128),
        "translate.generator_width": 16,
        "translate.generator_downs": 2,
        "translate.generator_blocks": 6,
        "translate.discriminator": "v100",
        "translate.discriminator_width": 32,
        "translate.steps": 2500,
        "translate.batch_size": 2,
        "translate.identity_weight": 0.0,  # a third of the time
        "translate.upsample": "resize",  # no checkerboard, which a short training keeps
        "translate.ema_decay": 0.995,
        "segment.filters": 8,
        "segment.tile_px": (128, 128),
        "segment.steps": 1800,
        "segment.halve_every": 600,
        "classify.filters": 8,
        "classify.tile_px": (128, 128),
        "classify.steps": 400,
        "classify.halve_every": 150,
        "classify.save_every": 200,
    },
    # The authors' version 1.0.0, as in the paper. What differs: the WGAN-GP draws its
    # interpolation uniformly (theirs was normal by mistake); outlines come from a bank of 10 000
    # instead of a fresh draw for each particle; labels keep the full visible area (theirs were
    # eroded by 2 px, and by a moat of 2 px; here lines of 2 px lie in the flat mask); training
    # crops are random instead of 9 fixed tiles an image; the generators of the last step are used
    # (theirs: of the lowest discriminator loss); flips are drawn instead of stored fourfold, also
    # for the CycleGAN (theirs: none); generators are updated before discriminators; all masks
    # train the CycleGAN (theirs: 91 of them); the rate of the U-Net halves after each 10 epochs
    # (theirs: first after 9); the threshold is chosen on held-out pairs (theirs: 0.5); contrast is
    # stretched over a whole image, not over each tile; and batch norms' running statistics are
    # settled after the training (theirs move in it, with the generator in the critic's steps, too).
    "v100": {
        "data.contrast_low": 0.0,
        "data.contrast_high": 100.0,
        "data.contrast_knee": 1.0,
        "shapes.method": "wgan",
        "shapes.n_outlines": 10000,
        "shapes.latent": 128,
        "shapes.generator_width": 256,
        "shapes.critic_width": 64,
        "shapes.steps": 3000,  # 1000 epochs of 3 batches
        "shapes.batch_size": 64,
        "shapes.n_critic": 3,
        "shapes.gradient_penalty": 10.0,
        "shapes.learning_rate": 2e-4,
        "shapes.rotate": False,
        "shapes.opening_px": 9,
        "masks.n_masks": 1000,
        "masks.tile_px": (352, 512),
        "masks.density": "count",
        "masks.n_particles": (100, 149),
        "masks.placement": "perlin",
        "masks.noise_frequency": 4.0,  # 128 px a cell
        "masks.noise_octaves": 1,
        "masks.noise_threshold": 0.5,
        "masks.size": "normal",
        "masks.size_sigma": 0.1,
        "masks.size_range": (0.7, 1.3),
        "masks.rotation": "none",
        "masks.grid": "none",
        "masks.max_overlap": 1.0,
        "masks.min_visible": 0.0,
        "masks.line_px": 2,
        "translate.mask_input": "flat",
        "translate.tiles": "brightness",
        "translate.brightness_ratio": 1.1,
        "translate.tile_px": (352, 512),
        "translate.generator_width": 32,
        "translate.generator_downs": 2,
        "translate.generator_blocks": 9,
        "translate.generator_bias": True,
        "translate.generator_skip": False,
        "translate.generator_residual": False,
        "translate.upsample": "transposed",
        "translate.discriminator": "v100",
        "translate.discriminator_width": 64,
        "translate.discriminator_noise": 0.0,
        "translate.mask_noise": 0.0,
        "translate.steps": 22750,  # 250 epochs of 91 tiles
        "translate.batch_size": 1,
        "translate.learning_rate": 2e-4,
        "translate.decay_from": 1.0,
        "translate.cycle_weight": 10.0,
        "translate.identity_weight": 0.0,
        "translate.label_smoothing": 0.0,
        "translate.pool": 50,
        "translate.ema_decay": 0.0,
        "filter.threshold": "li",
        "filter.snap_edges": False,
        "segment.target": "mask",
        "segment.filters": 16,
        "segment.decoder": "published",
        "segment.tile_px": (352, 512),
        "segment.steps": 160000,  # 100 epochs of 3200 samples
        "segment.batch_size": 2,
        "segment.learning_rate": 1e-3,
        "segment.halve_every": 16000,  # 10 epochs
        "segment.balance": 1.0,
        "segment.held_out": 0.2,
        "segment.blotches": 0.0,
        "segment.brightness": 0.0,
        "segment.contrast": 0.0,
        "segment.noise": 0.0,
        "segment.blur_px": 0.0,
        "classify.shape": False,
        "classify.threshold": 0.5,
        "classify.filters": 16,
        "classify.decoder": "published",
        "classify.tile_px": (352, 512),
        "classify.batch_size": 2,
        "segment.save_every": 5000,
        "measure.split": "watershed",
        "measure.min_area_px": 9,
        "measure.flips": False,
        "measure.tile_px": (352, 512),
    },
    # The authors' version 1.2.0. What differs, beside the first three and the last four points
    # above: particles are drawn in random order (theirs row by row, so that the lower right lay on
    # top), on a grid whose rows are nearer (sqrt(3) / 2 of 8 px; theirs: 8); the learning rate does
    # decay, the pool works, and both generators learn from the cycle; tiles are turned by quarters.
    "v120": {
        "data.contrast_low": 0.5,
        "data.contrast_high": 99.5,
        "data.contrast_knee": 1.0,
        "shapes.method": "wgan",
        "shapes.n_outlines": 10000,
        "shapes.latent": 128,
        "shapes.generator_width": 256,
        "shapes.critic_width": 64,
        "shapes.steps": 3000,
        "shapes.batch_size": 64,
        "shapes.n_critic": 3,
        "shapes.gradient_penalty": 10.0,
        "shapes.learning_rate": 2e-4,
        "shapes.rotate": False,
        "shapes.opening_px": 9,
        "masks.n_masks": 1000,
        "masks.tile_px": (384, 384),
        "masks.density": "count",
        # More than there is room for: every grid point in a noise patch is tried, as in the
        # authors' code, where the range of 100 to 150 has no effect beside a grid.
        "masks.n_particles": (400, 400),
        "masks.placement": "perlin",
        "masks.noise_frequency": 2.1,  # 181 px a cell
        "masks.noise_octaves": 1,
        "masks.noise_threshold": 0.5,
        "masks.size": "normal",
        "masks.size_sigma": 0.1,
        "masks.size_range": (0.7, 1.3),
        "masks.rotation": "none",
        "masks.grid": "hexagonal",
        "masks.grid_spacing": 0.125,  # 8 px
        "masks.grid_jitter": 0.05,  # 3 px
        "masks.max_overlap": 0.5,
        "masks.min_visible": 0.0,
        "masks.line_px": 2,
        "translate.mask_input": "flat",
        "translate.tiles": "brightness",
        "translate.brightness_ratio": 1.1,
        "translate.tile_px": (384, 384),
        "translate.generator_width": 64,
        "translate.generator_downs": 3,
        "translate.generator_blocks": 9,
        "translate.generator_bias": False,
        "translate.generator_skip": False,
        "translate.generator_residual": False,
        "translate.upsample": "transposed",
        "translate.discriminator": "v120",
        "translate.discriminator_width": 128,
        "translate.discriminator_noise": 0.0,
        "translate.mask_noise": 0.0,
        "translate.steps": 10000,  # 50 epochs of 200 batches
        "translate.batch_size": 5,
        "translate.learning_rate": 2e-4,
        "translate.decay_from": 0.75,
        "translate.cycle_weight": 10.0,
        "translate.identity_weight": 5.0,
        "translate.label_smoothing": 0.0,
        "translate.pool": 50,
        "translate.ema_decay": 0.0,
        "filter.threshold": "li",
        "filter.snap_edges": False,
        "segment.target": "mask",
        "segment.filters": 16,
        "segment.decoder": "published",
        "segment.tile_px": (384, 384),
        "segment.steps": 32000,  # 50 epochs of 640 batches
        "segment.batch_size": 5,
        "segment.learning_rate": 1e-3,
        "segment.halve_every": 6400,  # 10 epochs
        "segment.balance": 1.0,
        "segment.held_out": 0.2,
        "segment.blotches": 0.0,
        "segment.brightness": 0.0,
        "segment.contrast": 0.0,
        "segment.noise": 0.0,
        "segment.blur_px": 0.0,
        "classify.shape": False,
        "classify.threshold": 0.5,
        "classify.filters": 16,
        "classify.decoder": "published",
        "classify.tile_px": (384, 384),
        "classify.batch_size": 5,
        "segment.save_every": 5000,
        "measure.split": "watershed",
        "measure.min_area_px": 9,
        "measure.flips": False,
        "measure.tile_px": (384, 384),
    },
}

# Minutes of the whole workflow, by variant and kind of device; the kind is part of its name.
# The small one on two cores without AVX-512.
MINUTES: dict[tuple[str, str], float] = {("cpu", "cpu"): 63.0}


def check_name(name: str) -> str:
    """Returns the name of a variant, `auto` or "".

    Raises:
        ValueError: there is no such variant.
    """
    if name not in ("", "auto", *VARIANTS):
        raise ValueError(
            f"unknown variant {name!r}; config.variant must be one of: auto, "
            f"{', '.join(VARIANTS)}, or empty for the settings as they stand"
        )
    return name


def choose(asked: str, *, platform: str, recorded: str | None = None) -> tuple[str, str]:
    """Chooses the variant of a run.

    Args:
        asked: `config.variant`.
        platform: of the devices, as JAX names it: cpu, gpu, tpu.
        recorded: variant of the work folder that is continued; None if the folder is new.

    Returns:
        The name of the variant ("" for none) and why it was chosen.

    Raises:
        ValueError: unknown name, or another variant than the work folder's.
    """
    check_name(asked)
    if recorded is not None and asked not in ("auto", recorded):
        was = recorded or "no variant"
        raise ValueError(
            f"this work folder was made with {was}, but config.variant asks for "
            f"{asked or 'no variant'}; leave the variant away (auto) to continue the folder, "
            "or give --workdir a new one"
        )
    if recorded is not None:
        return recorded, "the work folder was made with it"
    if asked != "auto":
        return asked, "asked for"
    if platform == "cpu":
        return "cpu", "there is no accelerator"
    return "gpu", f"there is an accelerator ({platform})"


def change(config: ConfigDict, changes: ConfigDict, where: str) -> None:
    """Sets what is given by section, as in {"segment": {"pairs": "manual"}}, in place.

    Args:
        config: settings.
        changes: sections with some of their settings.
        where: the name of `changes`, for messages.

    Raises:
        ValueError: no such setting, or a value of another type.
    """
    for section, values in changes.items():
        if not isinstance(values, ConfigDict):
            raise ValueError(
                f"{where}.{section} is {values!r}; expected a section with its settings,"
                " like {'segment': {'pairs': 'manual'}}"
            )
        for key, value in values.items():
            if section not in config or key not in config[section]:
                raise ValueError(f"{where}.{section}.{key} is no setting; see semjax/settings.py")
            try:
                config[section][key] = value
            except TypeError as error:
                raise ValueError(f"{where}.{section}.{key}: {error}") from error


def lay(config: ConfigDict, name: str, overrides: Mapping[str, Any]) -> None:
    """Lays a variant over a config, in place, `config.fixed` over it, the user's values over all.

    `config.fixed` is empty afterwards: it is part of the settings then.

    Raises:
        ValueError: `config.fixed` names no setting.
    """
    _tell_replaced(config, name, overrides)
    config.update_from_flattened_dict(VARIANTS.get(name, {}))
    change(config, config.fixed, "config.fixed")
    config.fixed = ConfigDict()
    config.update_from_flattened_dict(
        {path: value for path, value in overrides.items() if path != "variant"}
    )
    config.variant = name


def _tell_replaced(config: ConfigDict, name: str, overrides: Mapping[str, Any]) -> None:
    """Warns of what a config file sets and the variant sets otherwise."""
    default = settings.get_config()
    for path, value in VARIANTS.get(name, {}).items():
        section, key = path.split(".")
        own, fixed = config[section][key], config.fixed.get(section)
        stays = path in overrides or (isinstance(fixed, ConfigDict) and key in fixed)
        if own not in (value, default[section][key]) and not stays:
            logging.warning(
                "variant %s: config.%s is %r and not the config file's %r; to keep that, set "
                'config.fixed = {"%s": {"%s": %r}}',
                *(name, path, value, own, section, key, own),
            )


def resolve(
    config: ConfigDict,
    overrides: Mapping[str, Any],
    *,
    platform: str,
    device_kind: str,
    recorded: str | None = None,
) -> str:
    """Chooses the variant, lays it over the config in place, and says which, why and its cost.

    Args:
        config: the settings as read; `config.variant` is the wish.
        overrides: dotted names and values given on the command line; they win.
        platform: of the devices, as JAX names it: cpu, gpu, tpu.
        device_kind: the device's own name, for the estimate of time.
        recorded: variant of the work folder that is continued; None if the folder is new.

    Returns:
        The variant's name, "" for the settings as they stand.

    Raises:
        ValueError: unknown name, or another variant than the work folder's.
    """
    name, reason = choose(config.variant, platform=platform, recorded=recorded)
    lay(config, name, overrides)
    if name:
        cost = estimate(name, platform=platform, device_kind=device_kind)
        logging.info("variant %s: %s; %s", name, reason, cost)
    return name


def estimate(name: str, *, platform: str, device_kind: str) -> str:
    """Says in words what a variant costs in time on a device."""
    for (variant, kind), minutes in MINUTES.items():
        if variant == name and kind.lower() in f"{platform} {device_kind}".lower():
            return f"about {minutes:.0f} minutes on {kind} for the whole workflow"
    if platform == "cpu" and name != "cpu":
        return "made for an accelerator: on a CPU it takes days"
    return f"its time on {device_kind} has not been measured"
