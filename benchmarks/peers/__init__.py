"""The same networks and updates in plain PyTorch, to compare with; semjax does not need them.

Images are (n, c, h, w) in channels-last memory. Submodules stand in lists in the order in which
semjax's networks make them, so that `transfer` can fill in its weights.
"""
