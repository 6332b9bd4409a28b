"""The networks of the outlines; see `semjax.networks.wgan`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.layers import Conv, batch_norm, leaky_relu, upsample


class OutlineGenerator(nn.Module):
    """Draws outlines from latent vectors."""

    def __init__(self, outline_px: int, width: int, latent: int):
        super().__init__()
        self.side, self.width = outline_px // 8, width
        c = (width, width // 2, width // 4, 1)
        flat = self.side**2 * width
        self.denses = nn.ModuleList([nn.Linear(latent, flat, bias=False)])
        self.convs = nn.ModuleList([Conv(c[i], c[i + 1], 3) for i in range(3)])
        self.norms = nn.ModuleList(
            [batch_norm(flat, flat=True), *(batch_norm(features) for features in c[1:])]
        )

    def forward(self, z: Tensor) -> Tensor:
        """z (n, latent) to outlines (n, 1, s, s) in [-1, 1]."""
        x = leaky_relu(self.norms[0](self.denses[0](z)))
        x = x.view(-1, self.side, self.side, self.width).permute(0, 3, 1, 2)
        for i in range(2):
            x = leaky_relu(self.norms[i + 1](self.convs[i](upsample(x))))
        return torch.tanh(self.norms[3](self.convs[2](upsample(x))))


class Critic(nn.Module):
    """Scores outlines; float32."""

    def __init__(self, outline_px: int, width: int):
        super().__init__()
        c = (1, *(width * 2**level for level in range(4)))
        self.convs = nn.ModuleList([Conv(c[i], c[i + 1], 5, 2, bias=True) for i in range(4)])
        self.denses = nn.ModuleList([nn.Linear(c[-1] * (outline_px // 16) ** 2, 1)])

    def forward(self, x: Tensor) -> Tensor:
        """Outlines (n, 1, s, s) in [-1, 1] to scores (n,)."""
        for level, conv in enumerate(self.convs):
            x = leaky_relu(conv(x))
            if level in (1, 2):
                x = F.dropout(x, 0.3, self.training)
        x = F.dropout(x.permute(0, 2, 3, 1).flatten(1), 0.2, self.training)
        return self.denses[0](x)[:, 0]
