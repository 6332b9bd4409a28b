"""What the networks share: Keras' padding and constants on PyTorch's own layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """Convolution padded by "same" (TensorFlow's rule, for even sizes), "valid" or "reflect"."""

    def __init__(self, c: int, features: int, size: int, stride=1, padding="same", bias=False):
        # `same` of an even input: k - stride zeros in all, the odd one at the end.
        total = size - stride if padding == "same" else 0
        even = total % 2 == 0
        own = size // 2 if padding == "reflect" else total // 2 if even else 0
        mode = "reflect" if padding == "reflect" else "zeros"
        super().__init__(c, features, size, stride, own, bias=bias, padding_mode=mode)
        self.uneven = None if even else (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, features, h', w')."""
        return super().forward(x if self.uneven is None else F.pad(x, self.uneven))


class TransposedConv(nn.ConvTranspose2d):
    """Doubles rows and columns; the kernel's size is 2 or 3."""

    def __init__(self, c: int, features: int, size: int, bias=False):
        super().__init__(c, features, size, stride=2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, features, 2h, 2w): what falls beyond is dropped."""
        return super().forward(x)[..., : 2 * x.shape[2], : 2 * x.shape[3]]


def instance_norm(c: int) -> nn.Module:
    """Instance norm. As a group norm, which knows channels-last memory."""
    return nn.GroupNorm(c, c, eps=1e-5)


def batch_norm(c: int, *, scale: bool = True, flat: bool = False) -> nn.Module:
    """Batch norm with Keras' constants; without scale, the weight stays at 1."""
    norm = (nn.BatchNorm1d if flat else nn.BatchNorm2d)(c, eps=1e-3, momentum=0.01)
    norm.weight.requires_grad_(scale)
    return norm


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2."""
    return F.leaky_relu(x, 0.2)


def upsample(x: Tensor) -> Tensor:
    """Doubles rows and columns by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def adam(parameters, learning_rate: float, *, b1: float = 0.9, b2: float = 0.999):
    """Adam with Keras' epsilon, all parameters in one kernel."""
    trained = [p for p in parameters if p.requires_grad]
    return torch.optim.Adam(trained, learning_rate, (b1, b2), eps=1e-7, fused=True)


def to_nchw(images) -> Tensor:
    """A NumPy batch (n, h, w, c) as (n, c, h, w); the memory is channels-last as it stands."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)
