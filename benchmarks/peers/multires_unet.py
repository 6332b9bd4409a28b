"""MultiResUNet; see `semjax.networks.multires_unet`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.peers.layers import Conv, TransposedConv, batch_norm


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm without scale."""

    def __init__(self, c: int, features: int, size: int):
        super().__init__()
        self.convs = nn.ModuleList([Conv(c, features, size)])
        self.norms = nn.ModuleList([batch_norm(features, scale=False)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, features, h, w)."""
        return self.norms[0](self.convs[0](x))

    def fold(self) -> None:
        """Puts the norm into the convolution, for prediction."""
        self.convs[0] = fuse_conv_bn_eval(self.convs[0], self.norms[0])
        self.norms[0] = nn.Identity()


class MultiResBlock(nn.Module):
    """Three chained convolutions whose outputs are joined, and a linear shortcut."""

    def __init__(self, c: int, filters: int):
        super().__init__()
        width = 1.67 * filters
        widths = [max(int(share * width), 1) for share in (0.167, 0.333, 0.5)]
        self.features = sum(widths)
        chained = [ConvNorm(i, o, 3) for i, o in zip([c, *widths[:2]], widths, strict=True)]
        self.pairs = nn.ModuleList([ConvNorm(c, self.features, 1), *chained])
        self.norms = nn.ModuleList([batch_norm(self.features) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, features, h, w)."""
        shortcut = self.pairs[0](x)
        chain = []
        for pair in self.pairs[1:]:
            x = F.relu(pair(x))
            chain.append(x)
        return self.norms[1](F.relu(shortcut + self.norms[0](torch.cat(chain, 1))))


class ResPath(nn.Module):
    """Residual convolutions between an encoder level and its decoder level."""

    def __init__(self, c: int, filters: int, length: int):
        super().__init__()
        inputs = [c] + [filters] * (length - 1)
        self.pairs = nn.ModuleList([ConvNorm(i, filters, size) for i in inputs for size in (1, 3)])
        self.norms = nn.ModuleList([batch_norm(filters) for _ in inputs])

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, filters, h, w)."""
        for i, norm in enumerate(self.norms):
            x = norm(F.relu(self.pairs[2 * i](x) + F.relu(self.pairs[2 * i + 1](x))))
        return x


class MultiResUNet(nn.Module):
    """The whole network with the published decoder, for sides that are multiples of 16."""

    def __init__(self, c: int, filters: int, outputs: int):
        super().__init__()
        base = 2 * filters if filters < 16 else max(32, filters)
        self.blocks, self.paths, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in range(5):
            self.blocks.append(MultiResBlock(c, filters * 2**level))
            c = self.blocks[-1].features
            if level < 4:
                self.paths.append(ResPath(c, filters * 2**level, 4 - level))
        for level in reversed(range(4)):
            self.ups.append(TransposedConv(c, filters * 2**level, 2, bias=True))
            width = base * 2**level if level else filters
            self.blocks.append(MultiResBlock(2 * filters * 2**level, width))
            c = self.blocks[-1].features
        self.convs, self.pairs = nn.ModuleList(), nn.ModuleList()
        if outputs == 1:
            self.pairs.append(ConvNorm(c, 1, 1))
        else:
            self.convs.append(Conv(c, outputs, 1, bias=True))

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) to float32 logits (n, outputs, h, w)."""
        skips = []
        for block, path in zip(self.blocks[:4], self.paths, strict=True):
            x = block(x)
            skips.append(path(x))
            x = F.max_pool2d(x, 2)
        x = self.blocks[4](x)
        for up, block in zip(self.ups, self.blocks[5:], strict=True):
            x = block(torch.cat([up(x), skips.pop()], 1))
        last = [*self.pairs, *self.convs][0]
        return last(x).float()
