"""Simulated secondary-electron micrographs of agglomerated particles with exact truth."""

from semjax.phantom.inputs import write_inputs
from semjax.phantom.micrograph import Phantom, simulate
from semjax.phantom.tiles import Tile, cut_tiles

__all__ = ["Phantom", "Tile", "cut_tiles", "simulate", "write_inputs"]
