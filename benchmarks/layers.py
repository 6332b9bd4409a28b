"""Times of single layers and of whole networks, forward and with gradients.

Run from the project's folder: `python benchmarks/layers.py [layers] [networks]`. Each line gives
milliseconds: the shortest of several calls, of the wall's clock and of the processor's. On a shared
machine the processor's is the steadier; it counts the work of all cores.
"""

import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from semjax.networks import Critic, MultiResUNet, OutlineGenerator, ResNetGenerator, layers

LAYOUT = ("NHWC", "HWIO", "NHWC")


def measure(function: Callable, *args: Array, repeats: int = 5) -> str:
    """Wall and processor milliseconds of one call, compiled."""
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*args))
    times = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        jax.block_until_ready(compiled(*args))
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = (1e3 * min(column) for column in zip(*times, strict=True))
    return f"{wall:8.1f} {processor:8.1f}"


def penalty(layer: Callable, x: Array, kernel: Array) -> Array:
    """The squared size of the gradient by the input, as a gradient penalty holds it."""
    return (jax.grad(lambda x: (layer(x, kernel) ** 2).sum())(x) ** 2).sum()


def print_layer(
    name: str, forms: dict[str, Callable], shape: tuple, kernel_shape: tuple, *, second: bool
) -> None:
    """Prints the times of a layer's forms, one a line."""
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = 0.1 * jax.random.normal(jax.random.key(1), kernel_shape)
    for form, layer in forms.items():
        cotangent = jnp.ones_like(layer(x, kernel))

        def by_input(x, kernel, ct, layer=layer):
            return jax.vjp(lambda x: layer(x, kernel), x)[1](ct)

        def by_kernel(x, kernel, ct, layer=layer):
            return jax.vjp(lambda kernel: layer(x, kernel), kernel)[1](ct)

        def twice(x, kernel, layer=layer):
            return jax.grad(lambda kernel: penalty(layer, x, kernel))(kernel)

        line = [measure(layer, x, kernel)]
        line += [measure(f, x, kernel, cotangent) for f in (by_input, by_kernel)]
        if second:
            line.append(measure(twice, x, kernel, repeats=2))
        print(f"{name:36} {form:8}", *line, flush=True)


def plain_conv(stride: int, padding: str) -> Callable:
    """XLA's convolution, with XLA's gradients."""

    def convolve(x: Array, kernel: Array) -> Array:
        if padding == "reflect":
            half = kernel.shape[0] // 2
            x = layers.reflect_pad(x, (half, half), (half, half))
        rule = "SAME" if padding == "same" else "VALID"
        return lax.conv_general_dilated(x, kernel, (stride, stride), rule, dimension_numbers=LAYOUT)

    return convolve


def plain_transposed(x: Array, kernel: Array) -> Array:
    """XLA's transposed convolution, with XLA's gradients."""
    return lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=LAYOUT)


def time_layers() -> None:
    """Our layers beside the plain ones, at the sizes of small training runs."""
    print("ms (wall, processor) of: forward; gradient by input; by kernel; penalty by kernel")
    for side, c, features, k, n in [(128, 16, 32, 3, 2), (64, 1, 64, 5, 16), (32, 64, 128, 5, 16)]:
        forms = {"plain": plain_conv(2, "same"), "ours": lambda x, k: layers.conv(x, k, stride=2)}
        name = f"{k}x{k} stride 2, {n} x {side}, {c} to {features}"
        print_layer(name, forms, (n, side, side, c), (k, k, c, features), second=True)
    name = "5x5 stride 2, 16 x 8, 256 to 512"
    print_layer(name, forms, (16, 8, 8, 256), (5, 5, 256, 512), second=False)
    for side, c, features, k, n in [(32, 64, 32, 3, 2), (64, 32, 16, 3, 2), (64, 51, 8, 2, 8)]:
        forms = {"plain": plain_transposed, "ours": layers.transposed_conv}
        name = f"{k}x{k} transposed, {n} x {side}, {c} to {features}"
        print_layer(name, forms, (n, side, side, c), (k, k, c, features), second=False)
    for c, features, k, n in [(1, 16, 7, 2), (16, 1, 7, 2), (2, 4, 3, 8)]:
        forms = {
            "plain": plain_conv(1, "reflect"),
            "ours": lambda x, k: layers.conv(x, k, padding="reflect"),
        }
        name = f"{k}x{k} reflect, {n} x 128, {c} to {features}"
        print_layer(name, forms, (n, 128, 128, c), (k, k, c, features), second=False)


def time_networks() -> None:
    """Whole networks: forward in training, and the gradients of all parameters."""
    print("ms (wall, processor) of: forward; gradients")
    for name, network, shape in [
        ("generator 16, 2, 6: 2 x 128", ResNetGenerator(16, 2, 6), (2, 128, 128, 1)),
        ("outline generator: 64 x 64", OutlineGenerator(), (64, 128)),
        ("critic: 64 x 64", Critic(), (64, 64, 64, 1)),
        ("unet 8, 3 outputs: 8 x 128", MultiResUNet(8, 3), (8, 128, 128, 1)),
    ]:
        key = jax.random.key(0)
        x = jax.random.uniform(key, shape, minval=-1.0)
        variables = network.init(key, x)
        params = variables.pop("params")

        def loss(params, x, network=network, variables=variables, key=key):
            y, _ = network.apply(
                {"params": params, **variables},
                x,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return (y**2).mean()

        forward, gradients = measure(loss, params, x), measure(jax.grad(loss), params, x)
        print(f"{name:45}", forward, gradients, flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["layers", "networks"]
    if "layers" in wanted:
        time_layers()
    if "networks" in wanted:
        time_networks()
