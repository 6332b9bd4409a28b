"""Updates of the segmenter and of the classifier; see `semjax.learners`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.layers import adam


def balanced_cross_entropy(logits: Tensor, targets: Tensor, weight: float) -> Tensor:
    """Binary cross-entropy of each pixel; positive ones count `weight` times."""
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses * (1 + (weight - 1) * targets)


def segmenter_loss(logits: Tensor, batch: dict[str, Tensor], weight: float):
    """Particle, interior and distance."""
    targets = batch["targets"]
    particle = balanced_cross_entropy(logits[:, :1], targets[:, :1], weight).mean()
    metrics = {"particle": particle}
    if targets.shape[1] == 3:
        interior = F.binary_cross_entropy_with_logits(logits[:, 1], targets[:, 1])
        inside = targets[:, 0]
        error = (torch.sigmoid(logits[:, 2]) - targets[:, 2]).abs()
        distance = (error * inside).sum() / inside.sum().clamp(min=1)
        metrics |= {"interior": interior, "distance": distance}
    loss = sum(metrics.values())
    return loss, metrics | {"loss": loss}


def classifier_loss(logits: Tensor, batch: dict[str, Tensor], weight: float):
    """Weighted mean over the particles' pixels."""
    targets, where = batch["targets"], batch["where"]
    total = where.sum().clamp(min=1)
    loss = (balanced_cross_entropy(logits, targets, weight) * where).sum() / total
    right = ((logits > 0) == (targets > 0.5)) * where
    return loss, {"loss": loss, "accuracy": right.sum() / total}


class UNetSteps:
    """A U-Net, its loss, and Adam whose rate is halved every so many steps."""

    def __init__(self, network: nn.Module, loss, *, weight, learning_rate, halve_every, dtype):
        self.network, self.loss, self.weight, self.dtype = network, loss, weight, dtype
        self.optimizer = adam(network.parameters(), learning_rate)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, halve_every, 0.5)

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update; metrics stay on the device."""
        device = batch["images"].device.type
        self.optimizer.zero_grad()
        with torch.autocast(device, self.dtype, enabled=self.dtype == torch.bfloat16):
            logits = self.network(batch["images"])
        loss, metrics = self.loss(logits, batch, self.weight)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {name: value.detach() for name, value in metrics.items()}
