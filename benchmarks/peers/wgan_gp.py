"""Updates of the WGAN-GP; see `semjax.learners.wgan_gp`."""

import torch
from torch import Tensor, nn

from benchmarks.peers.layers import adam


class WganGP:
    """Generator and critic with their optimisers."""

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        *,
        latent: int,
        learning_rate: float,
        penalty_weight: float,
    ):
        self.generator, self.critic = generator, critic
        self.latent, self.penalty_weight = latent, penalty_weight
        self.opt_generator = adam(generator.parameters(), learning_rate, b1=0.5, b2=0.9)
        self.opt_critic = adam(critic.parameters(), learning_rate, b1=0.5, b2=0.9)

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """Several critic updates, then one of the generator; batch is (n_critic, n, 1, s, s)."""
        n, device = batch.shape[1], batch.device
        found = []
        for real in batch:
            with torch.no_grad():
                fake = self.generator(torch.randn(n, self.latent, device=device))
            self.opt_critic.zero_grad()
            loss, distance, penalty = self.critic_loss(real, fake)
            loss.backward()
            self.opt_critic.step()
            found.append((distance.detach(), penalty.detach()))
        self.opt_generator.zero_grad()
        self.critic.requires_grad_(False)
        loss = -self.critic(self.generator(torch.randn(n, self.latent, device=device))).mean()
        loss.backward()
        self.critic.requires_grad_(True)
        self.opt_generator.step()
        distances, penalties = zip(*found, strict=True)
        return {
            "wasserstein": torch.stack(distances).mean(),
            "penalty": torch.stack(penalties).mean(),
            "generator": loss.detach(),
        }

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The critic's loss, the distance and the gradient penalty."""
        fake_scores, real_scores = self.critic(torch.cat([fake, real])).chunk(2)
        distance = real_scores.mean() - fake_scores.mean()
        u = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = (real + u * (fake - real)).requires_grad_()
        # `forward` is never compiled: torch.compile has no second derivatives.
        scores = self.critic.forward(between)
        (gradients,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        norms = (gradients.square().sum((1, 2, 3)) + 1e-12).sqrt()
        penalty = (norms - 1).square().mean()
        return self.penalty_weight * penalty - distance, distance, penalty
