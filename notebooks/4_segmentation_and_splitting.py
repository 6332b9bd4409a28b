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
# # 4 Segmentation and splitting
#
# Now there are micrographs with exact masks. On these pairs a network learns to find particles,
# and then it sees the real images. (Which work folder this is, says notebook 1.)

# %%
from semjax import notebook
from semjax.notebook import show
from semjax.report import finding, making

work = notebook.open_work()
notebook.stages(work)

# %% [markdown]
# ## From step to step
#
# Real images, which this network does not learn from: particles found, and its probability.

# %%
show(finding.segmentation_over_training, work)

# %%
show(making.curves, work, "segment")

# %% [markdown]
# ## Three outputs
#
# Beside "is this particle?" the network is asked for the interior of each particle and for the
# distance to its border. Between two touching particles the interior has a gap: there
# they are split. (Outside of particles the distance means nothing.)

# %%
show(finding.outputs, work)

# %% [markdown]
# ## Splitting
#
# A threshold finds the foreground as well as any network; what it cannot do is tell particles
# apart. A watershed splits at necks, and so misses particles that lie on each other.

# %%
show(finding.splitting, work)

# %% [markdown]
# ## The threshold
#
# Chosen without any truth: the one whose foreground of the real images ends where their brightness
# is halfway between particle and ground (right: 0). Of several that do so equally well, the best on
# held-out synthetic pairs (left).

# %%
show(finding.thresholds, work)

# %% [markdown]
# ## Which particles can be measured?
#
# A second network has learned from masks in which it is known how much of a particle is seen. Its
# score, from sure to doubtful:

# %%
show(finding.kept_and_left_out, work)

# %%
show(finding.overlays, work)

# %%
show(finding.reasons, work)

# %% [markdown]
# ## Against the truth
#
# Where there is one, as for a phantom: F1 at an overlap (IoU) of 0.5 and 0.75, panoptic quality.

# %%
show(finding.scores, work)
