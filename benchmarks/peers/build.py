"""The peers of `benchmarks.cases`, with the same settings and, if given, the same weights."""

from typing import Any

import torch
from ml_collections import ConfigDict

from benchmarks import cases
from benchmarks.peers import transfer
from benchmarks.peers.cyclegan import CycleGAN
from benchmarks.peers.layers import to_nchw
from benchmarks.peers.multires_unet import MultiResUNet
from benchmarks.peers.patch_discriminator import PatchDiscriminator
from benchmarks.peers.resnet_generator import ResNetGenerator
from benchmarks.peers.unet_steps import UNetSteps, classifier_loss, segmenter_loss
from benchmarks.peers.wgan import Critic, OutlineGenerator
from benchmarks.peers.wgan_gp import WganGP

WEIGHT = 2.0


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def put(network: torch.nn.Module) -> torch.nn.Module:
    """The network on the device, channels-last."""
    return network.to(device(), memory_format=torch.channels_last)


def put_batch(kind: str, batch: Any) -> Any:
    """A NumPy batch on the device; from pinned memory, nothing waits for it."""
    if kind == "wgan_gp":
        return torch.from_numpy(batch).permute(0, 1, 4, 2, 3).to(device(), non_blocking=True)
    return {name: to_nchw(x).to(device(), non_blocking=True) for name, x in batch.items()}


def make_unet(kind: str, c: ConfigDict) -> MultiResUNet:
    """The segmenter's or the classifier's network."""
    c_in, outputs = (1, c.outputs) if kind == "segmenter" else (2, 1)
    return put(MultiResUNet(c_in, c.filters, outputs))


def make_peer(kind: str, c: ConfigDict, state: Any = None) -> Any:
    """A peer with `step(batch)`; with a state of our learner, its weights are taken over."""
    if kind == "wgan_gp":
        generator = put(OutlineGenerator(cases.OUTLINE_PX, c.generator_width, c.latent))
        critic = put(Critic(cases.OUTLINE_PX, c.critic_width))
        if state is not None:
            transfer.fill(generator, state.generator, state.generator_stats)
            transfer.fill(critic, state.critic)
        return WganGP(
            generator,
            critic,
            latent=c.latent,
            learning_rate=c.learning_rate,
            penalty_weight=c.gradient_penalty,
        )
    dtype = getattr(torch, c.dtype)
    if kind == "cyclegan":
        return _make_cyclegan(c, dtype, state)
    network = make_unet(kind, c)
    if state is not None:
        transfer.fill(network, state.params, state.batch_stats)
    return UNetSteps(
        network,
        {"segmenter": segmenter_loss, "classifier": classifier_loss}[kind],
        weight=WEIGHT,
        learning_rate=c.learning_rate,
        halve_every=c.halve_every,
        dtype=dtype,
    )


def _make_cyclegan(c: ConfigDict, dtype: torch.dtype, state: Any) -> CycleGAN:
    generators = {
        name: put(
            ResNetGenerator(
                c.generator_width,
                c.generator_downs,
                c.generator_blocks,
                c.generator_bias,
                c.generator_residual,
                c.upsample,
            )
        )
        for name in ("to_image", "to_mask")
    }
    discriminators = {
        name: put(PatchDiscriminator(c.discriminator_width, c.discriminator))
        for name in ("image", "mask")
    }
    if state is not None:
        for name, network in generators.items():
            transfer.fill(network, state.generators[name])
        for name, network in discriminators.items():
            transfer.fill(network, state.discriminators[name])
    return CycleGAN(
        generators,
        discriminators,
        tile_px=tuple(c.tile_px),
        learning_rate=c.learning_rate,
        decay_from=c.decay_from,
        steps=c.steps,
        cycle_weight=c.cycle_weight,
        identity_weight=c.identity_weight,
        label_smoothing=c.label_smoothing,
        pool=c.pool,
        ema_decay=c.ema_decay,
        mask_noise=c.mask_noise,
        dtype=dtype,
    )
