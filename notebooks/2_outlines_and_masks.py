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
# # 2 Outlines and masks
#
# Some dozens of rough outlines become thousands of masks in which every particle is known.
# (Which work folder this is, says notebook 1.)

# %%
from semjax import notebook
from semjax.notebook import show
from semjax.report import making

work = notebook.open_work()
notebook.stages(work)

# %% [markdown]
# ## Given and drawn
#
# A generative network (WGAN-GP) learns from the outlines given and draws new ones. They need not
# be beautiful, but they should have the same sizes and about the same shapes.

# %%
show(making.outlines_given_and_drawn, work)

# %% [markdown]
# Solidity is the area beside that of the convex hull. The drawn outlines are a little rougher
# than those given: more steps (`shapes.steps`) or a higher `shapes.learning_rate` bring them
# nearer, `shapes.opening_px` rounds them. Where the network does not get there,
# `shapes.method="given"` turns and mirrors your own.

# %%
show(making.outline_shapes, work)

# %% [markdown]
# ## The network at several times
#
# In each row the same random numbers. When all pictures in a row look alike, the network has
# collapsed to a single shape; the log and the report then warn of it.

# %%
show(making.outlines_over_training, work)

# %%
show(making.curves, work, "shapes")

# %% [markdown]
# ## Masks
#
# Outlines are resized, turned and laid on a canvas, in patches of noise, over each other. Above, a
# colour a particle: nobody has to annotate these pictures. The generator of the next stage sees
# them flat or in relief (`translate.mask_input`), which shows it what lies on top.
# If particles of yours are parted by dark lines rather than bright rims, `masks.domed` (0 to 1)
# makes that share of the reliefs so.

# %%
show(making.masks, work)

# %% [markdown]
# ## Are they like the images?
#
# Left: the masks should be as dense as the tiles of the images. A CycleGAN compares distributions;
# if one side has more particles, it has to invent or to hide some. Right: how much of each
# particle is to be seen, set by `masks.max_overlap` and `masks.min_visible`.

# %%
show(making.mask_statistics, work)

# %%
show(making.summary, work, "masks")
