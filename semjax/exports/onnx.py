"""Networks as ONNX graphs, for ONNX Runtime, Fiji and whatever else reads them.

The graphs are written layer by layer from a network's variables. Converters that trace the JAX
function meet the forms that `semjax.networks.layers` chose for XLA (the gradient of a convolution
in place of a transposed one, reflection by amounts that depend on the size) and do not know them;
and a graph of the plain layers is the smaller and quicker one.

Operators of opset 17 and IR version 8, which ONNX Runtime has known since 1.12 and other readers,
such as deepImageJ, know too.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from semjax.predict import Model, run_batches
from semjax.workdir import write_bytes

OPSET, IR_VERSION = 17, 8
MULTIPLE = 16  # rows and columns are padded to multiples of it inside the graph
TOLERANCE = 1e-4  # of a probability, against semjax
EPSILON = 1e-3  # of the batch norms, as in `networks.norms.BatchNorm`

Value = str  # the name of an array in the graph


class Contrast(NamedTuple):
    """How images are prepared; the meaning is that of `data.images.stretch_contrast`."""

    low: float = 0.5
    high: float = 99.5
    knee: float = 0.6
    dark_particles: bool = False

    @property
    def percentiles(self) -> tuple[float, float]:
        """Those of the raw image that are to become 0 and 1 before the graph sees it."""
        if self.dark_particles:  # the graph turns the image round, and with it the two ends
            return 100.0 - self.high, 100.0 - self.low
        return self.low, self.high


def write(path: Path, model: Model) -> float:
    """Writes a segmenter or classifier as an ONNX file once ONNX Runtime gives what semjax gives.

    Args:
        path: of the file; one that is there is replaced.
        model: the network.

    Returns:
        The largest difference of two probabilities, on noise.

    Raises:
        ValueError: there is no graph for this network, the difference is above 1e-4, or the extra
            is not installed; the message names it.
    """
    content = build(model).SerializeToString()
    difference = compare(content, model)
    if difference > TOLERANCE:
        raise ValueError(
            f"ONNX Runtime differs from semjax by {difference:.2g} in a probability, expected at "
            f"most {TOLERANCE}; {path} was not written. Please report it with the model."
        )
    write_bytes(path, content)
    return difference


def compare(content: bytes, model: Model) -> float:
    """Largest difference between a graph without contrast in ONNX Runtime, and semjax, on noise."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    channels = session.get_inputs()[0].shape[1]
    images = np.random.default_rng(0).uniform(-1, 1, (2, 100, 144, channels)).astype(np.float32)
    ours = run_batches(in_float32(model), images, batch_size=2, sigmoid=True)
    (theirs,) = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
    return float(np.abs(theirs.transpose(0, 2, 3, 1) - ours).max())


def in_float32(model: Model) -> Model:
    """The same model with float32 activations, which is what a graph computes with."""
    return model._replace(network=model.network.clone(dtype="float32"))


def build(model: Model, *, contrast: Contrast | None = None, flips: bool = False) -> Any:
    """The ONNX graph of a segmenter or classifier.

    Its input `image` is float32 (batch, channels, height, width), its output `probabilities`
    float32 (batch, outputs, height, width) in [0, 1]. Batch, height and width are open; sizes that
    are no multiples of 16 are padded by reflection inside, as `networks.layers.pad_to_multiple`
    does, and cut back. All numbers are float32, whatever the network was trained with.

    Args:
        model: the network.
        contrast: if given, the input is not an image in [-1, 1] but one of which two percentiles
            (`Contrast.percentiles`) were made 0 and 1, and the graph starts with the rest of the
            contrast stretch.
        flips: whether the outputs are averaged over the image and its three flips, as
            `predict.probabilities` does; takes four times as long.

    Returns:
        The checked `onnx.ModelProto`.

    Raises:
        ValueError: there is no graph for this network, or the extra is not installed; the message
            names it.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ModuleNotFoundError as error:
        raise ValueError("ONNX export needs the extra: pip install 'semjax[onnx]'") from error

    name = model.settings["network"]
    if name not in GRAPHS:
        raise ValueError(
            f'there is no ONNX graph for the network "{name}", only for: {", ".join(GRAPHS)}; '
            "add one to semjax.exports.onnx.GRAPHS"
        )
    variables = traverse_util.flatten_dict(
        {kind: model.variables[kind] for kind in ("params", "batch_stats")}, sep="/"
    )
    graph = _Graph({path: np.asarray(value, np.float32) for path, value in variables.items()})
    x = "image"
    if contrast is not None:
        x = _stretch(graph, x, contrast)

    def seen(axes: list[int]) -> tuple[int, Value]:
        padded, cut_back = _pad(graph, _flip(graph, x, axes))
        channels, logits = GRAPHS[name](graph, padded)
        return channels, _flip(graph, graph.op("Sigmoid", cut_back(logits)), axes)

    channels, first = seen([])
    others = [seen(axes)[1] for axes in ([2], [3], [2, 3]) if flips]
    graph.op("Mean", first, *others, name="probabilities")

    def described(name, size):
        shape = ["batch", size, "height", "width"]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node(**node) for node in graph.nodes],
            name,
            [described("image", channels)],
            [described("probabilities", model.network.outputs)],
            [numpy_helper.from_array(value, name) for name, value in graph.arrays.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="semjax",
    )
    checker.check_model(proto, full_check=True)
    return proto


class _Graph:
    """Nodes and constants of a graph in the making, and the variables it is made from."""

    def __init__(self, variables: dict[str, np.ndarray]):
        self._variables = variables
        self.nodes: list[dict[str, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[tuple, Value] = {}

    def weights(self, path: str, *, kind: str = "params") -> np.ndarray:
        """A variable by its place in the Linen module."""
        return self._variables[f"{kind}/{path}"]

    def has(self, path: str) -> bool:
        """Whether the Linen module has variables there."""
        return any(name.startswith(f"params/{path}/") for name in self._variables)

    def constant(self, value: Any, dtype: Any = np.float32) -> Value:
        """Adds a constant array, unless it is there already."""
        value = np.ascontiguousarray(value, dtype)
        known = (value.dtype.str, value.shape, value.tobytes())
        name = self._names.setdefault(known, f"constant_{len(self._names)}")
        self.arrays[name] = value
        return name

    def op(self, kind: str, *inputs: Value, name: str = "", **attributes: Any) -> Value:
        """Adds an operator and returns its only output."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        node = {"op_type": kind, "inputs": inputs, "outputs": [name], "name": name}
        self.nodes.append(node | attributes)
        return name


def _stretch(graph: _Graph, x: Value, contrast: Contrast) -> Value:
    """The contrast stretch from the point where two percentiles are 0 and 1, to [-1, 1]."""
    zero, one, two = (graph.constant(number) for number in (0.0, 1.0, 2.0))
    if contrast.dark_particles:
        x = graph.op("Sub", one, x)
    knee = graph.constant(contrast.knee)
    y = graph.op("Clip", x, zero, knee)
    if contrast.knee < 1:
        room = graph.constant(1.0 - contrast.knee)
        above = graph.op("Relu", graph.op("Sub", x, knee))
        left = graph.op("Exp", graph.op("Neg", graph.op("Div", above, room)))
        y = graph.op("Add", y, graph.op("Mul", room, graph.op("Sub", one, left)))
    return graph.op("Sub", graph.op("Mul", y, two), one)


def _flip(graph: _Graph, x: Value, axes: list[int]) -> Value:
    if not axes:
        return x
    last, before_first = -1, np.iinfo(np.int64).min
    where = [graph.constant([n] * len(axes), np.int64) for n in (last, before_first)]
    backwards = graph.constant([-1] * len(axes), np.int64)
    return graph.op("Slice", x, *where, graph.constant(axes, np.int64), backwards)


def _pad(graph: _Graph, x: Value):
    """Pads rows and columns to multiples of 16; returns the way back as well."""
    two, multiple = (graph.constant([number], np.int64) for number in (2, MULTIPLE))
    size = graph.op("Shape", x, start=2)
    missing = graph.op("Mod", graph.op("Neg", size), multiple)
    before = graph.op("Div", missing, two)
    after = graph.op("Sub", missing, before)
    none = graph.constant([0, 0], np.int64)  # of batch and channels
    pads = graph.op("Concat", none, before, none, after, axis=0)
    padded = graph.op("Pad", x, pads, mode="reflect")

    def cut_back(y: Value) -> Value:
        axes = graph.constant([2, 3], np.int64)
        return graph.op("Slice", y, before, graph.op("Add", before, size), axes)

    return padded, cut_back


def _affine(graph: _Graph, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Factor and summand (c,) that a batch norm comes to, float64."""
    mean, variance = (
        graph.weights(f"{path}/norm/{name}", kind="batch_stats").astype(np.float64)
        for name in ("mean", "var")
    )
    factor = 1.0 / np.sqrt(variance + EPSILON)
    return factor, graph.weights(f"{path}/norm/bias") - mean * factor


def _conv(graph: _Graph, x: Value, kernel: np.ndarray, bias: np.ndarray) -> Value:
    """Convolution of stride 1 with a kernel (k, k, c, features) of odd k and "same" padding."""
    k = kernel.shape[0]
    weights = graph.constant(kernel.transpose(3, 2, 0, 1))
    return graph.op(
        "Conv", x, weights, graph.constant(bias), kernel_shape=[k, k], pads=[k // 2] * 4
    )


def _conv_norm(graph: _Graph, x: Value, path: str) -> Value:
    """`ConvNorm`: the norm is multiplied into the kernel."""
    factor, summand = _affine(graph, f"{path}/BatchNorm_0")
    kernel = graph.weights(f"{path}/Conv_0/kernel")
    return _conv(graph, x, kernel * factor, summand)


def _norm(graph: _Graph, x: Value, path: str) -> Value:
    """`BatchNorm` with a scale; it follows no convolution that it could be multiplied into."""
    params = [graph.weights(f"{path}/norm/{name}") for name in ("scale", "bias")]
    stats = [graph.weights(f"{path}/norm/{name}", kind="batch_stats") for name in ("mean", "var")]
    constants = [graph.constant(value) for value in (*params, *stats)]
    return graph.op("BatchNormalization", x, *constants, epsilon=EPSILON)


def _multires_block(graph: _Graph, x: Value, path: str) -> Value:
    shortcut = _conv_norm(graph, x, f"{path}/ConvNorm_0")
    chain = []
    for i in (1, 2, 3):
        x = graph.op("Relu", _conv_norm(graph, x, f"{path}/ConvNorm_{i}"))
        chain.append(x)
    x = _norm(graph, graph.op("Concat", *chain, axis=1), f"{path}/BatchNorm_0")
    x = graph.op("Relu", graph.op("Add", shortcut, x))
    return _norm(graph, x, f"{path}/BatchNorm_1")


def _res_path(graph: _Graph, x: Value, path: str) -> Value:
    i = 0
    while graph.has(f"{path}/BatchNorm_{i}"):
        shortcut = _conv_norm(graph, x, f"{path}/ConvNorm_{2 * i}")
        x = graph.op("Relu", _conv_norm(graph, x, f"{path}/ConvNorm_{2 * i + 1}"))
        x = graph.op("Relu", graph.op("Add", shortcut, x))
        x = _norm(graph, x, f"{path}/BatchNorm_{i}")
        i += 1
    return x


def _double(graph: _Graph, x: Value, path: str) -> Value:
    """`TransposedConv` with a 2 x 2 kernel: every pixel becomes four."""
    weights = graph.constant(graph.weights(f"{path}/kernel").transpose(2, 3, 0, 1))
    bias = graph.constant(graph.weights(f"{path}/bias"))
    return graph.op("ConvTranspose", x, weights, bias, kernel_shape=[2, 2], strides=[2, 2])


def _multires_unet(graph: _Graph, x: Value) -> tuple[int, Value]:
    """`networks.multires_unet.MultiResUNet`: how many channels it takes, and the logits."""
    channels = graph.weights("MultiResBlock_0/ConvNorm_0/Conv_0/kernel").shape[2]
    skips = []
    for level in range(4):
        x = _multires_block(graph, x, f"MultiResBlock_{level}")
        skips.append(_res_path(graph, x, f"ResPath_{level}"))
        x = graph.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = _multires_block(graph, x, "MultiResBlock_4")
    for i, skip in enumerate(reversed(skips)):
        x = _double(graph, x, f"TransposedConv_{i}")
        x = graph.op("Concat", x, skip, axis=1)
        x = _multires_block(graph, x, f"MultiResBlock_{5 + i}")
    if graph.has("ConvNorm_0"):
        return channels, _conv_norm(graph, x, "ConvNorm_0")
    kernel, bias = (graph.weights(f"Conv_0/{name}") for name in ("kernel", "bias"))
    return channels, _conv(graph, x, kernel, bias)


# By the names that settings use, as in `semjax.networks`.
GRAPHS = {"multires_unet": _multires_unet}
