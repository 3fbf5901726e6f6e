"""The convolution layer on one channel: its geometry, its arithmetic, and a kernel learned by gradient descent.

Sources: nndl, chapter on convolutional networks; Dumoulin & Visin 2016, "A guide to convolution arithmetic".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Config, Limits, SettingError, Span, check
from core.data.digits import load
from core.data.pictures import PHOTOS, PICTURES, picture
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import LOSS, Metric, Scores

KERNELS = ("identity", "box_blur", "gaussian_blur", "sharpen", "sobel_x", "sobel_y", "laplacian", "emboss")
WEIGHT = Span(-10.0, 10.0, 0.1)  # what one weight of an edited kernel may be
KERNEL_ERROR = Metric("Kernel error")  # root mean square difference between the learned and the hidden kernel
PHOTO_SIDE = 128  # pixels of the photo that is cut up to be learned from: its right quarter holds the largest crop


# ---- geometry ------------------------------------------------------------------------------------------------------


class GeometryError(ValueError):
    """The window, spread by its dilation over `reach` pixels, is larger than the padded input of `room` pixels."""

    def __init__(self, reach: int, room: int):
        self.reach, self.room = reach, room
        super().__init__(f"a window of {reach} does not fit into a padded input of {room}")


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Side of a convolution's output, ⌊(n + 2p − d(k−1) − 1)/s⌋ + 1, in pixels.

    Raises:
        GeometryError: the window does not fit into the padded input.
        ValueError: a size, kernel, stride or dilation below 1, or a negative padding.
    """
    return spare(size, kernel, stride, padding, dilation) // stride + 1


def dropped(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many trailing rows (and columns) of the padded input no window reaches: what the floor throws away.

    Raises:
        ValueError: as in `output_size`.
    """
    return spare(size, kernel, stride, padding, dilation) % stride


def spare(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many pixels the first window can still move within the padded input: n + 2p − d(k−1) − 1."""
    at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    at_least(0, padding=padding)
    reach, room = dilation * (kernel - 1) + 1, size + 2 * padding
    if reach > room:
        raise GeometryError(reach, room)
    return room - reach


def transposed_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Side of a transposed convolution's output, s(n−1) + d(k−1) + 1 − 2p + output padding, in pixels.

    The transposed convolution multiplies by Cᵀ where the convolution multiplies by C: it restores the size, not the
    values.

    Raises:
        ValueError: a size, kernel, stride or dilation below 1, a negative padding, an output padding that is not
            smaller than the stride or the dilation (torch's rule), or nothing left of the output.
    """
    at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    at_least(0, padding=padding, output_padding=output_padding)
    if output_padding >= max(stride, dilation):
        raise ValueError(f"output_padding must be below the stride or the dilation, got {output_padding}")
    side = stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * padding + output_padding
    if side < 1:
        raise ValueError(f"a padding of {padding} leaves nothing of the output")
    return side


def parameters(in_channels: int, out_channels: int, kernel: int, bias: bool = True) -> int:
    """Learnable numbers of a convolution layer, C_out·(C_in·k² + 1): the same at every place of the picture.

    Raises:
        ValueError: a number of channels or a kernel below 1.
    """
    at_least(1, in_channels=in_channels, out_channels=out_channels, kernel=kernel)
    return out_channels * (in_channels * kernel**2 + bias)


def fully_connected_parameters(in_size: int, out_size: int, bias: bool = True) -> int:
    """Learnable numbers of a fully connected layer from in_size×in_size to out_size×out_size cells: nothing shared.

    Raises:
        ValueError: a size below 1.
    """
    at_least(1, in_size=in_size, out_size=out_size)
    return out_size**2 * (in_size**2 + bias)


def at_least(smallest: int, **numbers: int) -> None:
    """Raise ValueError for the first of `numbers` that is below `smallest`."""
    for name, number in numbers.items():
        if number < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {number}")


# ---- kernels -------------------------------------------------------------------------------------------------------


def kernel_preset(name: str, size: int) -> Tensor:
    """One of KERNELS as (size, size), written for cross-correlation; at size 3 the textbook's.

    Other sizes keep the textbook's scale: identity, blurs, sharpen and emboss sum to 1, Sobel and Laplacian to 0 with
    absolute weights that sum to 8. An even size has no middle; the pixel before it stands in. At size 1 there is
    nothing to differentiate: Sobel and Laplacian are zero, all others the identity.

    Raises:
        ValueError: `name` is none of KERNELS, or `size` is below 1.
    """
    if name not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {name!r}")
    at_least(1, size=size)
    identity = torch.zeros(size, size)
    identity[middle(size), middle(size)] = 1.0
    if name == "identity":
        return identity
    if name == "box_blur":
        return torch.full((size, size), 1 / size**2)
    if name == "gaussian_blur":
        return torch.outer(binomial(size), binomial(size)) / 4 ** (size - 1)
    if name == "sobel_x":
        return scaled(torch.outer(binomial(size), derivative(size)), 8)
    if name == "sobel_y":
        return scaled(torch.outer(derivative(size), binomial(size)), 8)
    if name == "laplacian":
        return laplacian(size)
    if name == "sharpen":
        return identity - laplacian(size)
    steps = torch.arange(size) - (size - 1) / 2
    return identity + scaled(steps[:, None] + steps, 8)  # emboss: bright relief, lit from the upper left


def middle(size: int) -> int:
    """Index of the middle of `size` pixels, of the one before it where there is none."""
    return (size - 1) // 2


def binomial(size: int) -> Tensor:
    """Pascal's row (size,), the whole-number Gaussian: 1 2 1, 1 3 3 1, …"""
    return torch.tensor([float(math.comb(size - 1, i)) for i in range(size)])


def derivative(size: int) -> Tensor:
    """The smoothed difference (size,): −1 1, −1 0 1, −1 −1 1 1, −1 −2 0 2 1, … and 0 at size 1."""
    if size == 1:
        return torch.zeros(1)
    smooth, zero = binomial(size - 1), torch.zeros(1)
    return torch.cat([zero, smooth]) - torch.cat([smooth, zero])


def laplacian(size: int) -> Tensor:
    """Four times (mean of the middle's row and column − the middle): at size 3 the four neighbours and −4."""
    cross = torch.zeros(size, size)
    cross[middle(size), :] = cross[:, middle(size)] = 1.0
    cross[middle(size), middle(size)] = -2.0 * (size - 1)
    return scaled(cross, 8)


def scaled(kernel: Tensor, total: float) -> Tensor:
    """The kernel with absolute weights that sum to `total`; zero stays zero."""
    size = kernel.abs().sum()
    return kernel * (total / size) if size > 0 else kernel


# ---- arithmetic ----------------------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """One convolution of one picture."""

    padded: Tensor  # (H + 2p, W + 2p)
    output: Tensor  # (h, w)


class Window(NamedTuple):
    """How one output cell comes about."""

    rows: Tensor  # (k,) the rows of the padded input that it reads
    columns: Tensor  # (k,)
    values: Tensor  # (k, k) what stands there
    weights: Tensor  # (k, k) the kernel as it is laid on, flipped for a true convolution
    products: Tensor  # (k, k) values · weights
    sum: Tensor  # () the output cell


def convolve(
    picture: Tensor, kernel: Tensor, stride: int = 1, padding: int = 0, dilation: int = 1, flip: bool = False
) -> Trace:
    """Convolve one picture (H, W) with one kernel (k, k).

    Args:
        padding: zeros added on each side, in pixels.
        flip: turn the kernel by 180° first: the true convolution. Deep learning's "convolution" is the
            cross-correlation, without it.

    Raises:
        ValueError: nothing fits.
    """
    for side in picture.shape:
        output_size(side, kernel.shape[0], stride, padding, dilation)
    padded = F.pad(picture, [padding] * 4)
    weights = kernel.flip(0, 1) if flip else kernel
    return Trace(padded, F.conv2d(padded[None, None], weights[None, None], stride=stride, dilation=dilation)[0, 0])


def transpose(
    output: Tensor,
    kernel: Tensor,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    flip: bool = False,
    output_padding: int = 0,
) -> Tensor:
    """The transposed convolution of a map (h, w): (H, W), each side of transposed_size.

    Every cell lays its multiple of the kernel where it read from, and what overlaps adds up. As a matrix it is the
    transpose of `convolve`'s, not its inverse.
    """
    weights = kernel.flip(0, 1) if flip else kernel
    laid = F.conv_transpose2d(
        output[None, None], weights[None, None], None, stride, padding, output_padding, dilation=dilation
    )
    return laid[0, 0]


def window(
    padded: Tensor, kernel: Tensor, row: int, column: int, stride: int = 1, dilation: int = 1, flip: bool = False
) -> Window:
    """The window of the output cell (row, column): what it reads in `padded` (H + 2p, W + 2p), times what, summed.

    Raises:
        ValueError: the output has no such cell.
    """
    offsets = torch.arange(kernel.shape[0]) * dilation
    rows, columns = row * stride + offsets, column * stride + offsets
    if min(row, column) < 0 or rows[-1] >= padded.shape[0] or columns[-1] >= padded.shape[1]:
        raise ValueError(f"the output has no cell ({row}, {column})")
    values = padded[rows[:, None], columns]
    weights = kernel.flip(0, 1) if flip else kernel
    products = values * weights
    return Window(rows, columns, values, weights, products, products.sum())


# ---- settings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ConvolutionConfig(Config):
    """One convolution over one channel, whose kernel is to be learned."""

    size: int = 16  # side of the square input, in pixels
    kernel: int = 3  # side of the square kernel, in pixels
    stride: int = 1  # pixels between two windows
    padding: int = 0  # zeros added on each side, in pixels
    dilation: int = 1  # pixels between two weights of the kernel; 1 leaves no gap
    flip: bool = False  # true convolution instead of cross-correlation
    picture: str = "digit3"  # what is shown; digits of its class, or parts of its photo, are what is learned from
    hidden: str = "sobel_x"  # the kernel to be found out, one of KERNELS
    weights: tuple[float, ...] = ()  # the kernel edited by hand, row by row; () for `hidden`
    optimizer: str = "momentum"
    batch_size: int = 16  # pictures per update

    LIMITS: ClassVar[dict[str, Limits]] = {
        "size": range(4, 33),
        "kernel": range(1, 8),
        "stride": range(1, 5),
        "padding": range(7),
        "dilation": range(1, 4),
        "picture": PICTURES,
        "hidden": KERNELS,
        "optimizer": OPTIMIZERS,
        "batch_size": range(1, 129),
        "learning_rate": Span(0.0, 10.0, 0.001),
    }

    def __post_init__(self):
        super().__post_init__()
        output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)
        if self.weights:
            check("weights", self.weights, WEIGHT)
        if not isinstance(self.weights, tuple) or len(self.weights) not in (0, self.kernel**2):
            raise SettingError("weights", self.weights, (f"w1~…~w{self.kernel**2}",))  # as a link has them

    def build(self, generator: torch.Generator) -> KernelLearner:
        return KernelLearner(self, generator)


def hidden_kernel(config: ConvolutionConfig) -> Tensor:
    """The kernel (k, k) that makes the targets: the edited one, or the preset."""
    if config.weights:
        return torch.tensor(config.weights, dtype=torch.float32).reshape(config.kernel, config.kernel)
    return kernel_preset(config.hidden, config.kernel)


def input_picture(config: ConvolutionConfig) -> Tensor:
    """The picture (size, size) that the lesson shows, values in 0…1; to be read and never written."""
    return picture(config.picture, config.size)


def trace(config: ConvolutionConfig, kernel: Tensor, image: Tensor | None = None) -> Trace:
    """The config's picture, or `image` (H, W), convolved with a kernel (k, k): the hidden one, or a snapshot's."""
    shown = input_picture(config) if image is None else image
    return convolve(shown, kernel, config.stride, config.padding, config.dilation, config.flip)


# ---- learning ------------------------------------------------------------------------------------------------------


class Convolution(nn.Module):
    """A convolution layer of one channel without a bias, whose kernel starts small and random."""

    def __init__(self, config: ConvolutionConfig, generator: torch.Generator):
        super().__init__()
        self.stride, self.padding, self.dilation, self.flip = (
            config.stride, config.padding, config.dilation, config.flip,
        )  # fmt: skip
        self.kernel = nn.Parameter(torch.empty(config.kernel, config.kernel))
        nn.init.normal_(self.kernel, std=0.1, generator=generator)

    def forward(self, pictures: Tensor) -> Tensor:
        """Convolve the pictures (B, H, W) to feature maps (B, h, w)."""
        return self.apply_kernel(pictures, self.kernel)

    def apply_kernel(self, pictures: Tensor, kernel: Tensor) -> Tensor:
        """Convolve the pictures (B, H, W) with another kernel (k, k) in the same geometry: (B, h, w)."""
        weights = kernel.flip(0, 1) if self.flip else kernel
        maps = F.conv2d(pictures[:, None], weights[None, None], None, self.stride, self.padding, self.dilation)
        return maps[:, 0]


class KernelLearner:
    """Finds a hidden kernel from pictures and what it makes of them, by gradient descent on the squared error."""

    metrics = (LOSS, KERNEL_ERROR)

    def __init__(self, config: ConvolutionConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.hidden = hidden_kernel(config)
        self.model = Convolution(config, generator)
        self.optimizer = Optimizer(config.optimizer, list(self.model.parameters()))
        self.sheets = sheets(config.picture)

    def update(self, learning_rate: float) -> float:
        """One step on a batch of crops of the training sheet."""
        pictures = random_crops(self.sheets.train, self.config.size, self.config.batch_size, self.generator)
        loss = self.loss(pictures)
        gradients = torch.autograd.grad(loss, self.optimizer.parameters)
        self.optimizer.step(list(gradients), learning_rate)
        return loss.item()

    def loss(self, pictures: Tensor) -> Tensor:
        """Mean squared error between the learned and the hidden kernel's feature maps of pictures (B, H, W)."""
        return F.mse_loss(self.model(pictures), self.model.apply_kernel(pictures, self.hidden))

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """The loss on a fixed grid of crops of either sheet; the kernel's error belongs to both."""
        difference = (self.model.kernel - self.hidden).square().mean().sqrt().item()
        return {
            part: {
                LOSS.name: self.loss(grid_crops(sheet, self.config.size)).item(),
                KERNEL_ERROR.name: difference,
            }
            for part, sheet in self.sheets._asdict().items()
        }

    def state(self) -> dict[str, Tensor]:
        """{"kernel": (k, k)}"""
        return self.model.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        """Set the learned kernel by hand: name "kernel", k² numbers within WEIGHT, row by row.

        Raises:
            ValueError: another name, or another value.
        """
        if name != "kernel":
            raise ValueError(f"only the kernel can be changed by hand, got {name!r}")
        if not isinstance(value, tuple) or len(value) != self.config.kernel**2:
            raise ValueError(f"the kernel has {self.config.kernel**2} weights, got {value!r}")
        check("kernel", value, WEIGHT)
        with torch.no_grad():
            self.model.kernel.copy_(torch.tensor(value).reshape_as(self.model.kernel))


class Sheets(NamedTuple):
    """Two large pictures from which small ones are cut; mean 0 and variance 1 over the training sheet."""

    train: Tensor  # (H, W)
    test: Tensor  # (H', W')


def sheets(code: str) -> Sheets:
    """What is learned from: a mosaic of the training digits of one class, or the left three quarters of a photo.

    Standardised, so that one learning rate serves digits and photos, and the padding's zero is the average grey.
    """
    if code in PHOTOS:
        image = picture(code, PHOTO_SIDE)
        train, test = image[:, : PHOTO_SIDE * 3 // 4], image[:, PHOTO_SIDE * 3 // 4 :]
    else:
        digits, label = load(), int(code.removeprefix("digit"))
        train = mosaic(digits.train_images[digits.train_labels == label])
        test = mosaic(digits.test_images[digits.test_labels == label])
    mean, deviation = train.mean(), train.std()
    return Sheets((train - mean) / deviation, (test - mean) / deviation)


def mosaic(images: Tensor) -> Tensor:
    """Pictures (N, 1, H, W) laid side by side in a nearly square sheet; what does not fill a row is left out."""
    count, _, height, width = images.shape
    columns = math.isqrt(count)
    rows = count // columns
    tiles = images[: rows * columns].reshape(rows, columns, height, width)
    return tiles.transpose(1, 2).reshape(rows * height, columns * width)


def crops(sheet: Tensor, side: int) -> Tensor:
    """Every crop of a sheet (H, W), by its top and left, as a view (H − side + 1, W − side + 1, side, side)."""
    return sheet.unfold(0, side, 1).unfold(1, side, 1)


def random_crops(sheet: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
    """Crops at random places (count, side, side)."""
    places = crops(sheet, side)
    tops = torch.randint(places.shape[0], (count,), generator=generator)
    lefts = torch.randint(places.shape[1], (count,), generator=generator)
    return places[tops, lefts]


def grid_crops(sheet: Tensor, side: int, each: int = 6) -> Tensor:
    """Crops at each×each evenly spread places (each², side, side): the same at every evaluation."""
    places = crops(sheet, side)
    tops = torch.linspace(0, places.shape[0] - 1, each).long()
    lefts = torch.linspace(0, places.shape[1] - 1, each).long()
    return places[tops[:, None], lefts].flatten(0, 1)


PRESETS: dict[str, ConvolutionConfig] = {
    "edges": ConvolutionConfig(),
    "blur": ConvolutionConfig(kernel=5, padding=2, hidden="gaussian_blur"),
    "sharpen": ConvolutionConfig(size=32, padding=1, picture="flower", hidden="sharpen", learning_rate=0.1),
    "true_convolution": ConvolutionConfig(hidden="emboss", flip=True),
    "dilated": ConvolutionConfig(dilation=2, padding=2, hidden="laplacian"),
    "strided": ConvolutionConfig(size=15, kernel=4, stride=3, hidden="sobel_y"),  # the floor drops two rows
    # and four that go wrong
    "too_fast": ConvolutionConfig(optimizer="sgd", learning_rate=0.5),  # each step overshoots farther than the last
    "too_slow": ConvolutionConfig(optimizer="sgd", learning_rate=0.001),
    "alike": ConvolutionConfig(kernel=7, picture="china", hidden="sharpen"),  # neighbours differ too little to tell
    "blind": ConvolutionConfig(size=4, kernel=7, padding=6, dilation=2),  # the outer weights see padding only
}
