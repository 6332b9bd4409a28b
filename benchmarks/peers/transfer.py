"""Fills semjax's weights into the peers' networks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

LISTS = {
    "Conv": "convs",
    "TransposedConv": "ups",
    "Dense": "denses",
    "BatchNorm": "norms",
    "InstanceNorm": "norms",
    "ConvNorm": "pairs",
    "MultiResBlock": "blocks",
    "ResPath": "paths",
}
LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "offset": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "through": "through",
}


def rename(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A tree of semjax's parameters, gradients or statistics, named and laid out as the peer's."""
    found = {}

    def walk(node, path, kind):
        for name, value in node.items():
            if isinstance(value, Mapping):
                own, _, number = name.partition("_")
                # Batch norm holds Flax's own one.
                step = [] if name == "norm" else [LISTS[own], number]
                walk(value, path + step, kind if name == "norm" else own)
            else:
                found[".".join([*path, LEAVES[name]])] = _lay_out(np.asarray(value), name, kind)

    walk(tree, [], "")
    return found


def _lay_out(value: np.ndarray, name: str, kind: str) -> np.ndarray:
    if name != "kernel":
        return value
    if kind == "Dense":
        return value.T
    return value.transpose((2, 3, 0, 1) if kind == "TransposedConv" else (3, 2, 0, 1))


def fill(network: nn.Module, params: Mapping[str, Any], stats: Mapping[str, Any] | None = None):
    """Copies semjax's parameters and batch statistics into the peer.

    Raises:
        ValueError: the peer lacks some, or has others that were not given.
    """
    given = rename(params) | rename(stats or {})
    own = network.state_dict()
    fixed = {name for name, p in network.named_parameters() if not p.requires_grad}
    missing = {n for n in own if "num_batches" not in n and n not in fixed} - given.keys()
    if missing or given.keys() - own.keys():
        raise ValueError(f"not given: {missing}; not in the peer: {given.keys() - own.keys()}")
    with torch.no_grad():
        for name, value in given.items():
            own[name].copy_(torch.from_numpy(value.copy()))
