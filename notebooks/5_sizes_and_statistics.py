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
# # 5 Sizes and statistics
#
# From particles to a distribution, and how far it can be trusted. (Which work folder this is,
# says notebook 1.)

# %%
from semjax import notebook
from semjax.notebook import show
from semjax.report import finding

work = notebook.open_work()
notebook.stages(work)

# %% [markdown]
# ## The distribution
#
# The minimum Feret diameter is the smallest distance between two parallel lines that touch the
# particle: its width. Every particle counts once, or with its border weight.

# %%
show(finding.histogram, work)

# %%
show(finding.statistics, work)

# %% [markdown]
# ## Is it log-normal, and are the images alike?
#
# Left: thin lines are single images; if one leaves the bundle, look at it. Where the truth is
# known it is dashed: with all its particles, covered ones too, of which small ones are missed more
# often than large ones. Right: on the line if the distribution is log-normal.

# %%
show(finding.cumulative, work)

# %% [markdown]
# ## Have enough particles been measured?
#
# Half the width of the mean's 95 % interval, if particles were drawn independently. More particles
# do not help against what is wrong with all of them: the pixel size, the contour, small
# particles that are missed.

# %%
show(finding.how_many, work)

# %% [markdown]
# ## Which particles are left out?
#
# Each dot is a particle that the border does not cut. Those with a low score are left out; if
# they are all small, so is the bias: the mean comes out too large.

# %%
show(finding.shapes, work)

# %% [markdown]
# ## Image by image
#
# Without any truth: `agreement` is the overlap (IoU) of the foreground with that of a plain
# threshold, `ghost_share` the share of particles that are not brighter than it. An image that is
# far from the others in either deserves a look.

# %%
show(finding.by_image, work)
