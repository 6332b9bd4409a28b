"""Every setting of the workflow: its default, its unit and what it means.

One section a stage, named like the stage. `get_config` holds the full-size workflow; `VARIANTS` in
`variants.py` says what each variant changes. A material's config file (see `configs/`) starts
from `get_config` and sets what is special to the material; the variant is laid over it when the run
starts (with a warning of what it replaces), `config.fixed` over that, and
`--config.section.name=value` wins over all.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Default settings: the full workflow, as for an accelerator."""
    c = ConfigDict()
    c.name = "run"  # the work folder is runs/<name> unless --workdir is given
    c.variant = "auto"  # auto, cpu, gpu, v100, v120; "" takes the settings as they stand
    c.seed = 0  # of all random numbers; the same seed gives the same result
    c.repeats = 0  # further trainings of segment and classify: how far does the result spread?

    c.data = d = ConfigDict()
    d.source = "folder"  # folder, tio2 (the paper's data, fetched), phantom (simulated)
    d.images = ""  # folder of micrographs
    d.outlines = ""  # file or folder: masks, label images, ImageJ ROIs, LabelMe or COCO JSON
    d.outline_pixel_size_nm = 0.0  # these were drawn at; 0: as their files say, else as the images
    d.truth = ""  # folder of masks or label images named like the images; "" skips `score`
    d.classes = ""  # folder of class masks: white or green particles are good to measure
    d.test_images = ()  # names: never trained on with given masks, and scored by themselves
    d.clean = False  # True: the test images take no part in any training, masks or not
    d.folder = ""  # tio2: an existing copy of the published data; "" fetches into the cache
    d.exclude = ()  # names of images to leave out
    d.pixel_size_nm = 0.0  # 0 reads the instrument's tags; without tags results stay in pixels
    d.scale_bar_nm = 0.0  # length of a scale bar, for images without tags; needs scale_bar_px
    d.scale_bar_px = 0.0  # its length in the images
    d.calibration = 1.0  # factor on every pixel size, as a calibration standard gives it
    d.calibration_uncertainty = 0.0  # relative standard uncertainty of the pixel size
    d.info_bar_px = -1  # rows to cut at the bottom; -1 finds the bar, 0 keeps all rows
    d.dark_particles = False  # True for dark particles on a bright ground
    d.contrast_low = 0.5  # percentile that becomes black
    d.contrast_high = 99.5  # percentile at which highlights begin to be compressed hard
    d.contrast_knee = 0.6  # share of the range kept linear; 1 clips at contrast_high
    d.samples = "host"  # who makes training samples: host (threads, with Grain) or device

    d.phantom_images = 12  # phantom: micrographs to simulate
    d.phantom_outlines = 40  # phantom: outlines to draw
    d.phantom_px = (384, 384)  # rows, columns
    d.phantom_pixel_size_nm = 5.0  # phantom: written into the images as their pixel size

    c.shapes = s = ConfigDict()
    s.method = "wgan"  # wgan, polygons (random, noisy vertices), given (outlines transformed)
    s.n_outlines = 2000  # outlines drawn for the masks stage
    s.outline_px = 0  # side of an outline's square; 0 takes the largest, rounded up to 16
    s.latent = 128  # length of the random vector that an outline is drawn from
    s.generator_width = 256  # features at its smallest scale
    s.critic_width = 64  # features of its first convolution
    s.steps = 3000  # generator updates
    s.batch_size = 64  # outlines in an update
    s.n_critic = 3  # critic updates for each generator update
    s.gradient_penalty = 10.0  # its weight in the critic's loss
    s.learning_rate = 2e-4  # of both networks
    s.rotate = True  # quarter turns beside flips when the outlines are augmented
    s.opening_px = 7  # side of the square that opens a drawn outline; 0 leaves it as drawn
    s.n_vertices = (8, 16)  # polygons: range of the number of vertices
    s.vertex_noise = 0.15  # polygons: relative noise of the vertices' radii
    s.log_every = 50  # steps over which metrics are averaged and then logged
    s.save_every = 500  # steps between checkpoints with samples; a multiple of log_every

    c.masks = m = ConfigDict()
    m.source = "synthesis"  # synthesis, phantom (true masks of newly simulated micrographs)
    m.n_masks = 1000  # masks to make; as many pairs train segment and classify
    m.tile_px = (384, 384)  # rows, columns
    m.density = "match"  # match (the images' own foreground fractions) or count
    m.n_particles = (100, 149)  # density=count: range of the number of particles
    m.placement = "perlin"  # perlin (inside noise patches) or uniform
    m.noise_frequency = 3.0  # noise cells across the tile's longer side: fewer, larger agglomerates
    m.noise_octaves = 1  # layers of noise, each twice as fine and half as strong
    m.noise_threshold = 0.9  # on the noise stretched to [0, 1]; particles lie above it
    m.size = "lognormal"  # factor on an outline's size: lognormal, normal, uniform, none
    m.size_sigma = 0.35  # lognormal: of the logarithm; normal: of the factor (cut at 3 sigma)
    m.size_range = (0.25, 1.7)  # bounds of the factor; for uniform, its range
    m.rotation = "random"  # random, none, correlated (neighbours turn alike, by a noise field)
    m.grid = "none"  # none, hexagonal, cubic
    m.grid_spacing = 0.6  # in outline squares
    m.grid_jitter = 0.1  # in outline squares
    m.max_overlap = 1.0  # a particle is not placed with more of its area on others; 1 allows all
    m.min_visible = 0.15  # a particle is not placed if it leaves less of another to be seen
    m.line_px = 1  # width of the separating lines in the flat mask (never in the labels)
    m.domed = 0.5  # share of reliefs of domes with dark lines; 0 if borders are mostly bright

    c.translate = t = ConfigDict()
    t.source = "cyclegan"  # cyclegan, phantom (the true micrographs of masks.source=phantom)
    t.mask_input = "relief"  # what the generator sees of a mask: relief (shaded particles) or flat
    t.tiles = "foreground"  # tiles that train: foreground (fraction), brightness (paper), all
    t.foreground_range = (0.02, 0.8)  # tiles=foreground: bounds of a tile's bright share
    t.brightness_ratio = 1.1  # tiles=brightness: a tile's mean beside its image's
    t.tile_px = (384, 384)  # rows, columns of the tiles that train
    t.generator_width = 64  # features of the first convolution
    t.generator_downs = 3  # halvings of the resolution
    t.generator_blocks = 9  # residual blocks at the lowest resolution
    t.generator_bias = False  # bias in the convolutions before instance norm
    t.generator_skip = False  # input-output skip of v1.1.1
    t.generator_residual = True  # adds to its input instead of making all of its output
    t.upsample = "transposed"  # transposed or resize (nearest, then convolution)
    t.discriminator = "v120"  # v100 (zero padding, 3 strided) or v120 (valid, width doubled)
    t.discriminator_width = 128  # features of the first convolution
    t.discriminator_noise = 0.0  # SD of Gaussian noise before every convolution
    t.steps = 10000  # updates of all four networks
    t.batch_size = 5  # tiles of each kind in an update
    t.learning_rate = 2e-4  # of all four networks
    t.decay_from = 0.75  # share of the steps after which the rate falls linearly to 0; 1: never
    t.cycle_weight = 10.0  # of the loss for not coming back to where one started
    t.identity_weight = 5.0  # of the loss for changing what is an image, or a mask, already
    t.label_smoothing = 0.0  # s: discriminators aim at s/2 and 1 - s/2, not at 0 and 1
    t.mask_noise = 0.05  # SD of Gaussian noise on the masks (in [-1, 1]) that become images
    t.pool = 50  # earlier fakes kept for the discriminators; 0 turns the pool off
    t.ema_decay = 0.999  # generators used afterwards are averaged over steps; 0: the last ones
    t.dtype = "float32"  # of activations: float32 or bfloat16
    t.remat = False  # compute activations again for the gradient: less memory, more time
    t.log_every = 50  # steps over which metrics are averaged and then logged
    t.save_every = 500  # steps between checkpoints with samples; a multiple of log_every

    c.filter = f = ConfigDict()
    f.threshold = "li"  # li, otsu, mean, median of the picture, or none
    f.snap_edges = True  # move the labels' edges to half height of the picture

    c.segment = g = ConfigDict()
    g.pairs = "synthetic"  # synthetic, manual (masks given by data.truth), tsem
    g.registration = "published"  # tsem: shifts as published, or "correlation", found by us
    g.target = "instances"  # instances (particle, interior, distance) or mask (as in the paper)
    g.network = "multires_unet"  # a name of SEGMENTERS in semjax/networks
    g.filters = 16  # width of the network
    g.decoder = "published"  # published (decoder widths of the authors' code) or symmetric
    g.tile_px = (256, 256)  # rows, columns of the tiles that train
    g.steps = 12000  # updates
    g.batch_size = 8  # tiles in an update
    g.learning_rate = 1e-3  # at the start
    g.halve_every = 2000  # steps after which the learning rate is halved
    g.repeat = 0  # another number trains once more, with other random numbers
    g.balance = 0.5  # foreground weighs (background / foreground) to this power; paper: 1
    g.held_out = 0.1  # share of the pairs kept for choosing thresholds
    g.blotches = 0.5  # largest strength of smooth brighter and darker patches; 0 adds none
    g.brightness = 0.1  # SD of the shift added to images in [-1, 1]
    g.contrast = 0.15  # SD of the factor's logarithm
    g.noise = 0.05  # largest SD of added noise
    g.blur_px = 0.7  # largest SD of an added blur
    g.dtype = "float32"  # of activations: float32 or bfloat16
    g.log_every = 50  # steps over which metrics are averaged and then logged
    g.save_every = 500  # steps between checkpoints with samples; a multiple of log_every

    c.classify = k = ConfigDict()
    k.labels = "synthesis"  # synthesis, manual (class masks given by the data set)
    k.min_visible = 0.85  # a measurable particle shows at least this share of its outline
    k.min_iou = 0.7  # and is segmented at least this well
    k.filters = 16  # width of the network
    k.decoder = "published"  # as in segment
    k.tile_px = (256, 256)  # rows, columns of the tiles that train
    k.steps = 4000  # updates
    k.batch_size = 8  # tiles in an update
    k.learning_rate = 1e-3  # at the start
    k.halve_every = 1000  # steps after which the learning rate is halved
    k.repeat = 0  # as in segment
    k.shape = True  # weigh the network's score with the particle's size and shape
    k.threshold = 0.0  # particles of at least this score are kept; 0: found on held-out pairs
    k.dtype = "float32"  # of activations: float32 or bfloat16
    k.log_every = 50  # steps over which metrics are averaged and then logged
    k.save_every = 500  # steps between checkpoints with samples; a multiple of log_every

    c.measure = e = ConfigDict()
    e.split = "markers"  # markers (needs target=instances) or watershed
    e.flips = True  # average the segmenter over an image and its flips
    e.min_area_px = 0  # smaller specks are dropped; 0: smaller than what the masks have
    e.tile_px = (432, 432)  # images are predicted in such tiles; sides multiples of 16
    e.border = "drop"  # particles cut by it: drop, or weights (and whole ones stand for them)
    e.bootstrap = 1000  # samples for the 95 % intervals
    e.nano_nm = 100.0  # the share of particles below this minimum Feret diameter is reported

    c.score = z = ConfigDict()
    z.beside = True  # score a plain threshold and the CycleGAN alone, too
    z.legacy = False  # the scores of the paper's Table 1 as well; two seconds an image and method

    # Settings by section that win over the variant, as those of the command line do; they win
    # over these: config.fixed = {"masks": {"tile_px": (256, 256)}}.
    c.fixed = ConfigDict()

    # Further rows of a table: the changed settings by section, for each row's name. They run after
    # the workflow itself, in rows/<name>; see configs/tio2_table.py.
    c.rows = ConfigDict()

    c.lock()  # a misspelt setting is an error
    c.fixed.unlock()
    c.rows.unlock()
    return c
