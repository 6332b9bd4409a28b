"""Measurements of semjax; `python -m benchmarks` is speed, beside PyTorch."""
