"""PyTorch's side of every piece."""

import os
import time
from itertools import cycle, islice

import numpy as np
import torch
from torch import nn

from benchmarks import cases
from benchmarks.job import Job
from benchmarks.peers import build
from benchmarks.peers.layers import to_nchw
from benchmarks.peers.multires_unet import ConvNorm
from benchmarks.pieces import Piece
from semjax import predict
from semjax.data import tiles

N_BATCHES = 4


def prepare() -> None:
    """As fast as PyTorch can be told to be, with as many threads as we have."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True  # as XLA does
    torch.set_float32_matmul_precision("high")


def train(piece: Piece, compiled: bool) -> Job:
    """Updates, from batches that lie in the host's memory."""
    c = cases.configure(piece.kind, piece.variant, piece.changes)
    peer = build.make_peer(piece.kind, c)
    if compiled:
        for value in vars(peer).values():
            for network in value.values() if isinstance(value, dict) else [value]:
                if isinstance(network, nn.Module):
                    network.compile()
    batches = [cases.draw_batch(piece.kind, c, seed) for seed in range(N_BATCHES)]
    endless = cycle(batches)

    def run(n: int) -> None:
        for batch in islice(endless, n):
            peer.step(build.put_batch(piece.kind, batch))
        wait()

    return time_first(run)


def network_only(piece: Piece, compiled: bool) -> Job:
    """One micrograph through the segmenter, with our flips and tiles; norms folded."""
    c = cases.configure("segmenter", piece.variant, {"filters": piece.changes["filters"]})
    network = build.make_unet("segmenter", c).eval()
    fold(network)
    if compiled:
        from torch._inductor import config as inductor

        inductor.freezing = True  # weights are constants
        network.compile()
    image = np.random.default_rng(0).uniform(-1, 1, piece.changes["image_px"]).astype(np.float32)
    dtype = getattr(torch, c.dtype)

    def run(n: int) -> None:
        for _ in range(n):
            probabilities(network, image, piece.changes["tile_px"], dtype)

    return time_first(run)


def fold(network: nn.Module) -> None:
    """Puts the norms behind convolutions into these."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.fold()


@torch.inference_mode()
def probabilities(network, image, tile_px, dtype) -> np.ndarray:
    """What `semjax.predict.probabilities` gives: the mean over four flips, (h, w, outputs)."""
    views = (slice(None), slice(None, None, -1))
    total = np.float32(0)
    overlap = min(predict.OVERLAP_PX, min(tile_px) // 2), predict.GRID_PX
    autocast = torch.autocast(build.device().type, dtype, enabled=dtype == torch.bfloat16)
    for view in [(rows, columns) for rows in views for columns in views]:
        cut, _ = tiles.cut(image[view][..., None], tile_px, *overlap)
        size = -(-len(cut) // -(-len(cut) // predict.per_call(tile_px)))
        out = []
        for start in range(0, len(cut), size):
            batch = cut[start : start + size]
            missing = size - len(batch)
            if missing:  # one shape for all calls, as ours
                batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), "f4")])
            with autocast:
                logits = network(to_nchw(batch).to(build.device(), non_blocking=True))
            # Back to rows, columns, channels, as they lie in memory.
            found = torch.sigmoid(logits).permute(0, 2, 3, 1)[: size - missing]
            out.append(found.cpu().numpy())
        joined = tiles.join(np.concatenate(out), image.shape, *overlap)
        total = total + joined[view]
    return total / np.float32(4)


def ceiling(piece: Piece, compiled: bool) -> Job:
    """A large matrix product, or a large copy."""
    on_cpu = build.device().type == "cpu"
    if piece.kind == "product":
        side, dtype = (3072, torch.float32) if on_cpu else (8192, torch.bfloat16)
        x = torch.ones(side, side, dtype=dtype, device=build.device())
        out = torch.empty_like(x)
        function = lambda: torch.mm(x, x, out=out)
    else:
        x = torch.ones(2**26 if on_cpu else 2**29, device=build.device())
        out = torch.empty_like(x)
        function = lambda: out.copy_(x)

    def run(n: int) -> None:
        for _ in range(n):
            function()
        wait()

    return time_first(run)


def wait() -> None:
    """Until the device has done everything."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_first(run) -> Job:
    """The job, and by how much its first time is longer than the third."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        run(1)
        seconds.append(time.perf_counter() - begin)
    return Job(run, max(seconds[0] - seconds[2], 0.0))


KINDS = {
    **dict.fromkeys(cases.SECTIONS, train),
    "predict": network_only,
    **dict.fromkeys(("product", "copy"), ceiling),
}
