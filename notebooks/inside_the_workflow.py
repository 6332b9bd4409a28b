# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inside the workflow
#
# Every stage leaves its artifacts as ordinary files in the work folder. This notebook opens
# one and shows, stage by stage, what is in it; a stage that has not run yet shows nothing.
# Set the environment variable `SEMJAX_WORK` to look at another folder than `runs/phantom`.

# %%
import os
from pathlib import Path

import pandas as pd
from IPython.display import Image, Markdown, display

from semjax.report import figures, gallery

work = Path(os.environ.get("SEMJAX_WORK", "../runs/phantom"))


def show(stage):
    """Displays the pictures of a stage, each under what it shows."""
    for picture in gallery.list_pictures(work, stage):
        display(Markdown(picture.caption), Image(figures.encode_png(picture.pixels)))


sorted(path.name for path in work.glob("*"))

# %% [markdown]
# ## What goes in
#
# Micrographs without any annotation, and the outlines of some particles. A phantom simulates
# both, together with the exact truth; for other sources they lie where your settings say.

# %%
show("inputs")

# %% [markdown]
# ## 1. Shapes
#
# A generative network learns the outlines and draws as many new ones as the masks need.

# %%
show("shapes")

# %% [markdown]
# ## 2. Masks
#
# The outlines are turned, scaled and laid out at random. Each colour is one particle: nobody
# has to annotate these pictures, since the program knows where it put what.

# %%
show("masks")

# %% [markdown]
# ## 3. Translation
#
# Two networks learn to turn masks into micrographs and back, without a single matching pair.
# Below each mask is the micrograph made of it.

# %%
show("translate")

# %% [markdown]
# ## 4. Filter
#
# Some particles of a mask do not appear in its micrograph. They are taken out of the mask, so
# that the next network is not taught to see what is not there.

# %%
show("filter")

# %% [markdown]
# ## 5. Segmentation
#
# Now there are micrographs with exact masks. On these pairs a network learns to find
# particles, and to find them in real micrographs.

# %%
show("segment")

# %% [markdown]
# ## 6. Classification
#
# Not everything found can be measured: some particles are hidden behind others. A second
# network learns to tell them apart, from masks in which it is known how much can be seen.

# %%
show("classify")

# %% [markdown]
# ## 7. Measurement
#
# The trained networks see the real micrographs. Particles that were measured have a green
# outline, those that were left out an orange-red one.

# %%
for path in sorted(work.glob("7_measure/overlays/*.png"))[:2]:
    display(Markdown(path.stem), Image(path))
show("measure")

# %%
for path in work.glob("7_measure/particles.csv"):
    display(pd.read_csv(path).head())

# %% [markdown]
# ## 8. Scores
#
# Where the truth is known, each image's particles are compared with it, beside a classical
# threshold that needs no training.

# %%
for path in work.glob("8_score/scores.csv"):
    display(pd.read_csv(path).head())
