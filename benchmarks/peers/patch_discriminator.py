"""The CycleGAN's discriminator; see `semjax.networks.patch_discriminator`."""

from torch import Tensor, nn

from benchmarks.peers.layers import Conv, instance_norm, leaky_relu

VERSIONS = {"v100": ("same", (2, 2, 2, 1)), "v120": ("valid", (2, 2, 2))}


class PatchDiscriminator(nn.Module):
    """Convolutions 4 x 4, instance norm from the second on; without noise."""

    def __init__(self, width: int, version: str):
        super().__init__()
        padding, strides = VERSIONS[version]
        c = [1, *(width * 2**level for level in range(len(strides)))]
        biased = [True] + [version == "v100"] * (len(strides) - 1)
        self.convs = nn.ModuleList(
            [Conv(c[i], c[i + 1], 4, strides[i], padding, biased[i]) for i in range(len(strides))]
            + [Conv(c[-1], 1, 4, 1, padding, True)]
        )
        self.norms = nn.ModuleList([instance_norm(features) for features in c[2:]])

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 1, h, w) to float32 patch logits (n, 1, h', w')."""
        x = leaky_relu(self.convs[0](x))
        for conv, norm in zip(self.convs[1:-1], self.norms, strict=True):
            x = leaky_relu(norm(conv(x)))
        return self.convs[-1](x).float()
