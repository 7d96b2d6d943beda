"""Guided colorization: a small network that takes its colours, through attention, from a reference.

Cherel 2024, IV.3.3: a convolution each for queries, keys and values, the attention layer, and a
convolution to three channels, whose result is added to the grey picture.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from .attention import patch_attention
from .attention_layers import dense_attention, linear_attention, local_attention
from .checks import check_image
from .convolution import seeded_convolution
from .features import LUMA, luma
from .field import Field
from .steps import Callback, Poll, Progress

WIDTH = 16  # channels that the attention layer sees
LEARNING_RATE = 1e-3
LEAST = 7  # side of a reduced picture: a patch
FAINT = 0.1  # share of random features beside the grey ones, where a network begins as a copier
SHOWN = 10  # steps between two previews
KINDS = ("psal", "dense", "local", "linear")

Pairs = Callable[[Generator], tuple[Tensor, Tensor]]  # draws a picture and what it is coloured from


@dataclass(frozen=True)
class Layer:
    """An attention layer and its settings; layers are exchanged in a trained network.

    kind: psal (the nearest `neighbours` keys, found in `iterations` passes; with `aggregate` also
    those of the pixels around), dense (keys of every `stride`-th row and column), local (keys in a
    window of `window` pixels), linear.
    """

    kind: str = "psal"
    similarity: str = "l2"
    neighbours: int = 3
    aggregate: bool = False
    stride: int = 3
    window: int = 13
    patch_size: int = 7
    temperature: float = 1.0
    iterations: int = 5

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        start: Field | None = None,
        seed: int = 0,
        backend: str = "auto",
        poll: Poll | None = None,
    ) -> tuple[Tensor, Field | None]:
        """Output (B, Cv, H, W), and the field of a layer that searches.

        start: a field to search from; one of another size is left aside. poll: called during a
        search; may raise to interrupt it.
        """
        compared: dict[str, Any] = {"patch_size": self.patch_size}
        compared |= {"similarity": self.similarity, "temperature": self.temperature}
        if self.kind == "dense":
            return dense_attention(q, k, v, stride=self.stride, **compared), None
        if self.kind == "local":
            return local_attention(q, k, v, window=self.window, **compared), None
        if self.kind == "linear":
            return linear_attention(q, k, v, patch_size=self.patch_size), None
        if self.kind != "psal":
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(KINDS)}")
        fits = start is not None and (start.size, start.source_size) == (q.shape[2:], k.shape[2:])
        return patch_attention(
            q,
            k,
            v,
            neighbours=self.neighbours,
            aggregate=self.aggregate,
            iterations=self.iterations,
            field=start if fits else None,
            seed=seed,
            backend=backend,
            callback=None if poll is None else lambda _: poll(),
            **compared,
        )


class ColorizeNetwork(nn.Module):
    """Three convolutions around an attention layer, and one behind it.

    shared: queries and keys pass through one convolution, so that patches which look alike match
    from the first step on. The thesis has one for each, which must first learn to agree, and never
    do without a gradient: with PSAL-1.
    copies: begin as a network that matches grey patches and copies colours, from which training can
    only depart for something better; otherwise with random numbers, as the thesis does.
    """

    def __init__(self, generator: Generator, shared: bool = True, copies: bool = True):
        super().__init__()
        self.query = seeded_convolution(1, WIDTH, generator, "reflect")
        self.key = self.query if shared else seeded_convolution(1, WIDTH, generator, "reflect")
        self.value = seeded_convolution(3, WIDTH, generator, "reflect")
        self.colour = seeded_convolution(WIDTH, 3, generator, "reflect")
        if copies:
            self._copy_colours()

    @torch.no_grad()
    def _copy_colours(self) -> None:
        """Let the first channel of queries and keys be grey, and three of the values the colour."""
        for features in {self.query, self.key}:
            weight, bias = features.parameters()
            weight.mul_(FAINT)
            weight[0].zero_()[0, 1, 1] = 1
            bias.zero_()
        weight, bias = self.value.parameters()
        weight[:3].zero_()[:, :, 1, 1] = torch.eye(3) - torch.tensor(LUMA)  # less its luma
        bias[:3].zero_()
        weight, bias = self.colour.parameters()
        weight.zero_()[:, :3, 1, 1] = torch.eye(3)
        bias.zero_()

    def forward(
        self, grey: Tensor, reference: Tensor, layer: Layer, **search
    ) -> tuple[Tensor, Field | None]:
        """Picture (B, 3, H, W) for grey (B, 1, H, W), coloured from reference (B, 3, H2, W2)."""
        q, k = self.query(grey), self.key(luma(reference))
        found, psi = layer(q, k, self.value(reference), **search)
        return grey + self.colour(found), psi


def frame_pairs(frames: Tensor, gap: int = 10) -> Pairs:
    """Draws two frames of (T, 3, H, W), T >= 2, at most `gap` apart and never the same one."""
    last = len(frames) - 1

    def draw(generator: Generator) -> tuple[Tensor, Tensor]:
        first = _integer(0, last, generator)
        near = [i for i in range(max(0, first - gap), min(last, first + gap) + 1) if i != first]
        other = near[_integer(0, len(near) - 1, generator)]
        return frames[first : first + 1], frames[other : other + 1]

    return draw


def mirrored_pairs(picture: Tensor) -> Pairs:
    """Draws (1, 3, H, W) mirrored across, down or both ways, and as it is.

    Of one picture alone, these are alike but nowhere the same: matching them is worth learning.
    """
    axes = ((2,), (3,), (2, 3))

    def draw(generator: Generator) -> tuple[Tensor, Tensor]:
        return picture.flip(axes[_integer(0, 2, generator)]), picture

    return draw


def _integer(low: int, high: int, generator: Generator) -> int:
    return int(torch.randint(low, high + 1, (1,), generator=generator))


@dataclass(frozen=True)
class Trained:
    """A trained network, and the squared error of every step of its training."""

    network: ColorizeNetwork
    losses: list[float] = field(default_factory=list)


def train_colorizer(
    pairs: Pairs,
    *,
    layer: Layer,
    steps: int = 500,
    shared: bool = True,
    copies: bool = True,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Trained:
    """Train the network to give pictures back their colours from their references.

    pairs: draws (1, 3, H, W) in [0, 1] and its reference (1, 3, H2, W2), on the CPU or a GPU;
        `frame_pairs` and `mirrored_pairs` make such. Squared error, Adam, one pair a step.
    shared, copies: see ColorizeNetwork.
    callback: called with a Step after every step, with a new picture every few; may raise.
    Works under torch.inference_mode() as well. Repeats for the same seed and threads.
    Raises ValueError if the error becomes NaN or infinite.
    """
    with torch.inference_mode(False), torch.enable_grad():
        draw = Generator().manual_seed(seed)
        trained = Trained(ColorizeNetwork(draw, shared, copies))
        progress, shown = Progress(callback, steps, 1), None
        optimizer = None
        for step in range(steps):
            picture, reference = (each.clone() for each in pairs(draw))
            _check_images(picture, reference)
            if optimizer is None:
                trained.network.to(picture.device)
                optimizer = torch.optim.Adam(trained.network.parameters(), lr=LEARNING_RATE)
            search = {"seed": seed + step, "backend": backend, "poll": progress.poll}
            made, _ = trained.network(luma(picture), reference, layer, **search)
            loss = mse_loss(made, picture)
            if not torch.isfinite(loss):
                raise ValueError(f"the error of step {step} is {loss.item()}; use other pictures")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trained.losses.append(loss.item())
            if shown is None or step % SHOWN == 0:
                shown = made.detach()
            progress.report(shown, 0, step + 1, step + 1 == steps)
        return trained


@torch.no_grad()
def colorize(
    images: Tensor,
    references: Tensor,
    network: ColorizeNetwork,
    *,
    layer: Layer | None = None,
    side: int = 0,
    keep_luma: bool = True,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Tensor:
    """Colour pictures, or the frames of a clip, with the colours of references.

    images: (T, 1 or 3, H, W) in [0, 1]; of colour ones only the luma is used. references: (N, 3,
        H2, W2); several are taken for key frames at equal distances, and each image has the nearest
        in time.
    layer: the network's attention layer, default PSAL-3; it need not be the one of the training.
    side: where a picture is larger, attention sees it reduced to this side; 0 for the whole size.
    keep_luma: the result has the luma of the images, its colours paled where they would leave
        [0, 1]. Otherwise the network's own.
    callback: called with a Step after every picture. Each search starts from the last one's field.
    Returns (T, 3, H, W) in the dtype of the images.
    Raises ValueError for wrong shapes and values that are not finite.
    """
    _check_images(images, references)
    layer, psi, made = layer or Layer(), None, []
    progress = Progress(callback, len(images), 1)
    nearest = _key_frames(len(images), len(references))
    for number, image in enumerate(images.split(1)):
        grey, which = luma(image), nearest[number]
        small = reduced(grey, side)
        colours = reduced(references[which : which + 1], side).to(small)
        if layer.kind == "local":  # a window needs both in one frame
            colours = interpolate(colours, small.shape[2:], mode="bilinear", align_corners=False)
        progress.report(image, 0, number)
        search = {"start": psi, "seed": seed, "backend": backend, "poll": progress.poll}
        result, psi = network(small, colours, layer, **search)
        change = interpolate(result - small, grey.shape[2:], mode="bilinear", align_corners=False)
        coloured = _coloured(grey, change - luma(change)) if keep_luma else grey + change
        made.append(coloured.to(images.dtype))
        progress.report(made[-1], 0, number + 1, True)
    return torch.cat(made)


def _check_images(images: Tensor, references: Tensor) -> None:
    for name, pictures, channels in (("images", images, (1, 3)), ("references", references, (3,))):
        check_image(pictures, name)
        if pictures.shape[1] not in channels:
            raise ValueError(
                f"{name} have {pictures.shape[1]} channels, expected "
                f"{' or '.join(str(n) for n in channels)}"
            )


def _key_frames(images: int, references: int) -> list[int]:
    """For each image the reference next to it, both spread over the same time."""
    span = max(1, images - 1)
    return [round(i * (references - 1) / span) for i in range(images)]


def reduced(picture: Tensor, side: int) -> Tensor:
    """(B, C, H, W) with its longer side at most `side`, or a patch; 0 leaves it."""
    share = side / max(picture.shape[2:])
    if not side or share >= 1:
        return picture
    height, width = (max(min(n, LEAST), round(n * share)) for n in picture.shape[2:])
    return interpolate(picture, (height, width), mode="area")


def _coloured(grey: Tensor, colour: Tensor) -> Tensor:
    """`grey` with differences of colour whose luma is 0, paled as far as [0, 1] demands it."""
    above, below = grey.clamp(min=1) - grey, grey.clamp(max=0) - grey
    room = torch.where(colour > 0, above, below)
    share = torch.where(colour == 0, 1.0, room / colour).amin(1, keepdim=True)
    return grey + colour * share.clamp(0, 1)
