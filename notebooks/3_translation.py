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
# # 3 Translation
#
# A CycleGAN learns, from masks and micrographs that do not belong together, to turn the one into
# the other, and paints a micrograph for every mask. (Which work folder this is, says notebook 1.)

# %%
from semjax import notebook
from semjax.notebook import show
from semjax.report import making

work = notebook.open_work()
notebook.stages(work)

# %% [markdown]
# ## From step to step
#
# First the ground and the brightness come right, then edges and texture. When rows do not
# change any more, further steps (`translate.steps`) are of no use.

# %%
show(making.translation_over_training, work)

# %% [markdown]
# ## There and back
#
# Each way has to lead back to where it started. A particle that is lost on the way, and yet comes
# back, was hidden in faint dots: noise on the masks (`translate.mask_noise`) drowns them.

# %%
show(making.back_and_forth, work)

# %% [markdown]
# ## The curves
#
# In a good training nobody wins: losses of generators and discriminators stay between about 0.1
# and 0.7, and the cycles fall. A discriminator near 0 whose generator is near 1 has won, and its
# generator learns nothing any more; the log and the report then warn of it.

# %%
show(making.curves, work, "translate")

# %% [markdown]
# ## Real or made?
#
# The next network learns from the lower row and has to work on the upper one.

# %%
show(making.real_and_fake, work)

# %% [markdown]
# ## What a ghost looks like
#
# Some particles of a mask do not appear in its micrograph. A network that learned from them would
# find particles where there are none. The filter removes those that are not brighter than
# Li's threshold of their picture: kept ones green, removed ones orange-red.

# %%
show(making.fakes_with_outlines, work)

# %% [markdown]
# The largest ghosts of all, each without and with its outline. Most are rims of particles at the
# border of a tile, or under others. If whole particles are missing, train longer.

# %%
show(making.ghosts, work)

# %%
show(making.summary, work, "filter")
