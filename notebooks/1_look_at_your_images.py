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
# # 1 Look at your images
#
# Before anything is trained: are the images what they should be? This notebook opens a work
# folder, even one that has only begun, and looks at the micrographs that went in.
#
# Which folder? That of the environment variable `SEMJAX_WORK`, like `../runs/mine`; otherwise
# `runs/phantom`, and if there is none, a small phantom is run first, which takes some minutes. All
# six notebooks do so. Where a stage has not run yet, they say so and go on.

# %%
from semjax import notebook
from semjax.notebook import show
from semjax.report import making

work = notebook.open_work()
notebook.stages(work)

# %% [markdown]
# ## Sizes, pixel sizes, bars
#
# The pixel size comes from the instrument's tags or from `data.pixel_size_nm`; without either, all
# results stay in pixels. An information bar at the bottom is found and cut. The foreground is
# what blur and Li's threshold see: a first guess, with which nothing is measured.

# %%
show(making.table_of_images, work)

# %% [markdown]
# ## The images
#
# As the networks see them: contrast stretched, bar cut, particles bright. If yours are dark on a
# bright ground, set `data.dark_particles=True`.

# %%
show(making.images_with_scale, work)

# %% [markdown]
# ## One image closely
#
# Green: the foreground by blur and Li's threshold. It tells `masks` how dense to be
# (`masks.density="match"`), so it should roughly follow the particles. If it does not, set
# `masks.density="count"` and give a number of particles. Dashed: tiles of `masks.tile_px`. A tile
# should hold several particles, and an agglomerate should be recognised as one.
#
# Right: a good image has ground and particles apart, and no pile of pixels at either end. Piles
# mean that the detector was saturated, or that `data.contrast_low` and `contrast_high` cut off
# too much.

# %%
show(making.foreground_and_tiles, work)

# %% [markdown]
# ## Which tiles train?
#
# Those whose foreground lies between the dashed lines (`translate.foreground_range`). Empty tiles
# teach nothing, and a full one has no ground. An image without a box takes no part.

# %%
show(making.densities, work)
