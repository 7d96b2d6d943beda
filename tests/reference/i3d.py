"""I3D in float64, every layer over the whole clip and as the paper draws it."""

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-3
BLOCKS = "3b 3c pool4 4b 4c 4d 4e 4f pool5 5b 5c".split()
POOLS = {"pool4": ([3, 3, 3], [2, 2, 2]), "pool5": ([2, 2, 2], [2, 2, 2])}
SHORT, LONG = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), (
    "Branch_0.Conv3d_0a_1x1",
    "Branch_1.Conv3d_0a_1x1",
    "Branch_1.Conv3d_0b_3x3",
    "Branch_2.Conv3d_0a_1x1",
    "Branch_2.Conv3d_0b_3x3",
    "Branch_3.Conv3d_0b_1x1",
)  # fmt: skip


def same(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
    """TensorFlow's SAME: ceil(n / stride) windows, the odd zero at the end."""
    sides = []
    for n, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        sides.append((total // 2, total - total // 2))
    return F.pad(x, [value for side in reversed(sides) for value in side])


def unit(tensors: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = tensors[f"{name}.conv3d.weight"].double()
    x = F.conv3d(same(x, list(weight.shape[2:]), [stride] * 3), weight, stride=stride)
    norm = {part: tensors.get(f"{name}.bn.{part}") for part in ("weight", "bias")}
    scale = None if norm["weight"] is None else norm["weight"].double()
    mean, variance = (tensors[f"{name}.bn.running_{part}"].double() for part in ("mean", "var"))
    return F.batch_norm(x, mean, variance, scale, norm["bias"].double(), eps=EPSILON).relu()


def pool(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
    return F.max_pool3d(same(x, kernel, stride), kernel, stride)


def features(tensors: dict[str, Tensor], clip: Tensor) -> tuple[Tensor, Tensor]:
    """(Mixed_3c, the mean of Mixed_5c over its positions) of a (B, 3, T, H, W) clip in [0, 1]."""
    x = unit(tensors, "Conv3d_1a_7x7", clip.double() * 2 - 1, stride=2)
    x = pool(x, [1, 3, 3], [1, 2, 2])
    x = unit(tensors, "Conv3d_2c_3x3", unit(tensors, "Conv3d_2b_1x1", x))
    x = pool(x, [1, 3, 3], [1, 2, 2])
    low = x
    for block in BLOCKS:
        x = pool(x, *POOLS[block]) if block in POOLS else inception(tensors, f"Mixed_{block}", x)
        low = x if block == "3c" else low
    return low, x.mean(dim=(2, 3, 4))


def inception(tensors: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    names = SHORT if f"{name}.b0.conv3d.weight" in tensors else LONG
    first, left, left_on, right, right_on, last = (f"{name}.{part}" for part in names)
    branches = [
        unit(tensors, first, x),
        unit(tensors, left_on, unit(tensors, left, x)),
        unit(tensors, right_on, unit(tensors, right, x)),
        unit(tensors, last, pool(x, [3, 3, 3], [1, 1, 1])),
    ]
    return torch.cat(branches, dim=1)
