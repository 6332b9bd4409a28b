"""The CycleGAN's generator; see `semjax.networks.resnet_generator`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.layers import Conv, TransposedConv, instance_norm, upsample


class ResNetGenerator(nn.Module):
    """Residual network, for sides that are multiples of 2**downs; without the bypass of v1.1.1."""

    def __init__(
        self, width: int, downs: int, blocks: int, use_bias: bool, residual: bool, upsample: str
    ):
        super().__init__()
        self.downs, self.blocks = downs, blocks
        self.convs, self.ups, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

        def add(c, features, size, stride=1, padding="reflect"):
            self.convs.append(Conv(c, features, size, stride, padding, use_bias))
            self.norms.append(instance_norm(features))

        add(1, width, 7)
        for level in range(downs):
            add(width * 2**level, width * 2 ** (level + 1), 3, 2, "same")
        for _ in range(2 * blocks):
            add(width * 2**downs, width * 2**downs, 3)
        for level in reversed(range(downs)):
            if upsample == "resize":
                add(width * 2 ** (level + 1), width * 2**level, 3)
            else:
                self.ups.append(
                    TransposedConv(width * 2 ** (level + 1), width * 2**level, 3, use_bias)
                )
                self.norms.append(instance_norm(width * 2**level))
        self.convs.append(Conv(width, 1, 7, padding="reflect", bias=True))
        self.through = nn.Parameter(torch.zeros(3, 3)) if residual else None
        if residual:
            nn.init.constant_(self.through[1, 1], 1.5)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) to (n, 1, h, w), both in [-1, 1]; float32 comes out."""
        convs, norms, given = iter(self.convs), iter(self.norms), x
        for _ in range(1 + self.downs):
            x = F.relu(next(norms)(next(convs)(x)))
        for _ in range(self.blocks):
            y = F.relu(next(norms)(next(convs)(x)))
            x = x + next(norms)(next(convs)(y))
        for level in range(self.downs):
            y = self.ups[level](x) if self.ups else next(convs)(upsample(x))
            x = F.relu(next(norms)(y))
        x = next(convs)(x)
        if self.through is not None:
            x = x + F.conv2d(F.pad(given, (1, 1, 1, 1), "reflect"), self.through[None, None])
        return torch.tanh(x.float())
