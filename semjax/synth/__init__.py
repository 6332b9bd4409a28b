"""Synthesis of masks: outlines, gradient noise, and the placing of particles in tiles."""
