"""The networks, by the names that settings use.

Every network takes a batch and the keyword `train`. To add one, write its module and enter its
class in the dict of its kind; the tests then cover it.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from semjax.networks.multires_unet import MultiResUNet
from semjax.networks.patch_discriminator import PatchDiscriminator
from semjax.networks.resnet_generator import ResNetGenerator
from semjax.networks.wgan import Critic, OutlineGenerator

OUTLINE_GENERATORS = {"wgan": OutlineGenerator}
OUTLINE_CRITICS = {"wgan": Critic}
TRANSLATORS = {"resnet": ResNetGenerator}
DISCRIMINATORS = {"patch": PatchDiscriminator}
SEGMENTERS = {"multires_unet": MultiResUNet}
CLASSIFIERS = {"multires_unet": MultiResUNet}


def make(
    table: Mapping[str, type[nn.Module]],
    name: str,
    kwargs: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Builds the network that `table` has under `name`.

    Raises:
        ValueError: no such name; the message lists the names there are.
    """
    if name not in table:
        raise ValueError(f'unknown network "{name}"; choose one of: {", ".join(sorted(table))}')
    return table[name](**(kwargs or {}))
