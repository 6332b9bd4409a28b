"""Simulated secondary-electron micrographs of agglomerated particles with exact truth."""

from semjax.phantom.inputs import write_inputs
from semjax.phantom.micrograph import Phantom, simulate

__all__ = ["Phantom", "simulate", "write_inputs"]
