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
# # 6 A new material from scratch
#
# All of it, from a folder of images and a folder of outlines to a table of sizes, with networks so
# small that it takes a few minutes on two CPU cores. The sizes that come out are rough; for
# real ones leave the lines of "small and quick" away.

# %%
from pathlib import Path

from semjax import messages, notebook, phantom, pipeline, settings
from semjax.notebook import show
from semjax.report import finding, making

# %% [markdown]
# ## The files
#
# Your own would be micrographs (TIFF, PNG, JPEG or BMP), and small pictures with the filled white
# outline of one particle on black, drawn at the images' scale. Here they are simulated, as
# calibrated TIFF files of 4 nm a pixel; masks of the truth are written, too.

# %%
folder = Path("../runs/new_material_inputs")
if not folder.exists():
    phantom.write_inputs(
        folder, seed=7, n_images=5, n_outlines=30, image_px=(256, 256), pixel_size_nm=4.0
    )
sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*0.*"))

# %% [markdown]
# ## The settings
#
# Start from the defaults and change what is special to the material. `docs/settings.md` lists all
# settings and says how to choose the important ones.

# %%
config = settings.get_config()
config.name = "new_material"
config.variant = ""  # the settings as they stand here
config.data.images = str(folder / "images")
config.data.outlines = str(folder / "outlines")
config.data.truth = str(folder / "truth")  # only to score the result; leave it away

# Particles are some 30 px across: tiles of 128 px hold several of them.
for section in (config.masks, config.translate, config.segment, config.classify):
    section.tile_px = (128, 128)
config.masks.noise_frequency = 2.0
config.measure.tile_px = (256, 256)

# Small and quick.
config.shapes.method = "given"  # the outlines themselves, turned, instead of a network's
config.shapes.n_outlines = 300
config.masks.n_masks = 300
config.translate.generator_width = 12
config.translate.generator_downs = 2
config.translate.generator_blocks = 3
config.translate.discriminator = "v100"
config.translate.discriminator_width = 16
config.translate.upsample = "resize"
config.translate.identity_weight = 0.0
config.translate.steps = 400
config.translate.batch_size = 2
config.translate.ema_decay = 0.95
config.segment.filters = 5
config.segment.steps = 450
config.segment.batch_size = 4
config.segment.halve_every = 150
config.classify.filters = 4
config.classify.steps = 100
config.classify.batch_size = 4
config.classify.halve_every = 40

# %% [markdown]
# ## The run
#
# Mistakes in settings or files are told before anything is trained. Interrupted, the cell goes on
# where it ended; with other settings it asks for a new work folder or for `redo`.

# %%
with messages.show():
    work = pipeline.run(config, "../runs/new_material")
notebook.stages(work)

# %% [markdown]
# ## What it learned from
#
# Above masks, in the middle the micrographs painted for them, below what the filter left.

# %%
show(making.fakes_with_outlines, work)

# %% [markdown]
# ## What it found

# %%
show(finding.overlays, work)

# %%
show(finding.scores, work)

# %% [markdown]
# ## The sizes
#
# One row a particle in `7_measure/particles.csv`; `report.html` in the work folder has everything
# on one page. With other notebooks look further: `SEMJAX_WORK=../runs/new_material`.

# %%
finding.particles(work).head()

# %%
show(finding.histogram, work)

# %%
show(finding.statistics, work)
