"""Updates of the CycleGAN; see `semjax.learners.cyclegan`."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.layers import adam


def least_squares(logits: Tensor, target: float) -> Tensor:
    """mean((logits - target)^2)."""
    return (logits - target).square().mean()


class CycleGAN:
    """Both generators, both discriminators, running averages and pools."""

    def __init__(
        self,
        generators: dict[str, nn.Module],
        discriminators: dict[str, nn.Module],
        *,
        tile_px: tuple[int, int],
        learning_rate: float,
        decay_from: float,
        steps: int,
        cycle_weight: float,
        identity_weight: float,
        label_smoothing: float,
        pool: int,
        ema_decay: float,
        mask_noise: float,
        dtype: torch.dtype,
    ):
        self.generators, self.discriminators = generators, discriminators
        self.averaged = copy.deepcopy(generators)
        device = next(generators["to_image"].parameters()).device
        empty = torch.zeros(pool, 1, *tile_px, device=device)
        self.pools = {name: empty.clone() for name in ("image", "mask")} if pool else {}
        self.pooled = 0
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.real, self.fake = 1 - label_smoothing / 2, label_smoothing / 2
        self.ema_decay, self.mask_noise, self.dtype = ema_decay, mask_noise, dtype
        self.trained = {"g": _parameters(generators), "d": _parameters(discriminators)}
        self.optimizers = {
            side: adam(parameters, learning_rate, b1=0.5)
            for side, parameters in self.trained.items()
        }
        begin = round(decay_from * steps)
        rest = max(steps - begin, 1)

        def share(step):
            return 1 - min(max(step - begin, 0) / rest, 1)

        self.schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, share)
            for optimizer in self.optimizers.values()
        ]

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of the generators, then one of the discriminators; nothing waits."""
        autocast = torch.autocast(
            batch["images"].device.type, self.dtype, enabled=self.dtype == torch.bfloat16
        )
        for parameter in self.trained["d"]:
            parameter.requires_grad_(False)
        self.optimizers["g"].zero_grad()
        with autocast:
            loss, metrics, fakes = self.generator_loss(**batch)
        loss.backward()
        self.optimizers["g"].step()
        for parameter in self.trained["d"]:
            parameter.requires_grad_(True)
        shown = {name: self.swap(name, fakes[name]) for name in ("image", "mask")}
        self.pooled += len(fakes["image"])
        self.optimizers["d"].zero_grad()
        with autocast:
            image = self.discriminator_loss("image", batch["images"], shown["image"])
            mask = self.discriminator_loss("mask", batch["masks"], shown["mask"])
        (image + mask).backward()
        self.optimizers["d"].step()
        step = self.schedules[0].last_epoch
        decay = min(self.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(_parameters(self.averaged), self.trained["g"], 1 - decay)
        for schedule in self.schedules:
            schedule.step()
        metrics |= {"discriminator_image": image, "discriminator_mask": mask}
        return {name: value.detach() for name, value in metrics.items()}

    def drown(self, masks: Tensor) -> Tensor:
        """Masks with noise."""
        if self.mask_noise == 0:
            return masks
        return masks + self.mask_noise * torch.randn_like(masks)

    def generator_loss(self, images: Tensor, masks: Tensor):
        """The joint loss, its parts, and the fakes."""
        image_of, mask_of = self.generators["to_image"], self.generators["to_mask"]
        noisy = self.drown(masks)
        identity = images.new_zeros(())
        if self.identity_weight > 0:
            fake_images, same_images = image_of(torch.cat([noisy, images])).chunk(2)
            fake_masks, same_masks = mask_of(torch.cat([images, masks])).chunk(2)
            identity = F.l1_loss(same_images, images) + F.l1_loss(same_masks, masks)
        else:
            fake_images, fake_masks = image_of(noisy), mask_of(images)
        metrics = {
            "cycle_mask": F.l1_loss(mask_of(fake_images), masks),
            "cycle_image": F.l1_loss(image_of(self.drown(fake_masks)), images),
            "adversarial_image": least_squares(
                self.discriminators["image"](fake_images), self.real
            ),
            "adversarial_mask": least_squares(self.discriminators["mask"](fake_masks), self.real),
            "identity": identity,
        }
        loss = (
            metrics["adversarial_image"]
            + metrics["adversarial_mask"]
            + self.cycle_weight * (metrics["cycle_mask"] + metrics["cycle_image"])
            + self.identity_weight * identity
        )
        return loss, metrics, {"image": fake_images.detach(), "mask": fake_masks.detach()}

    def swap(self, name: str, fakes: Tensor) -> Tensor:
        """Fakes to show: half of them, by chance, earlier ones. Chosen on the device."""
        if not self.pools:
            return fakes
        pool, n = self.pools[name], len(fakes)
        size = len(pool) // n * n
        if self.pooled + n <= size:
            pool[self.pooled : self.pooled + n] = fakes
            return fakes
        places = torch.randperm(size, device=fakes.device)[:n]
        swap = (torch.rand(n, device=fakes.device) < 0.5)[:, None, None, None]
        stored = pool[places]
        pool[places] = torch.where(swap, fakes, stored)
        return torch.where(swap, stored, fakes)

    def discriminator_loss(self, name: str, real: Tensor, fakes: Tensor) -> Tensor:
        """Half the squared errors on real and shown tiles."""
        real_logits, fake_logits = self.discriminators[name](torch.cat([real, fakes])).chunk(2)
        return 0.5 * (least_squares(real_logits, self.real) + least_squares(fake_logits, self.fake))


def _parameters(networks: dict[str, nn.Module]) -> list[nn.Parameter]:
    return [p for network in networks.values() for p in network.parameters()]
