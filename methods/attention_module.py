"""Patch-based stochastic attention as a layer of a network."""

from math import sqrt
from typing import Any

from torch import Tensor, nn

from .attention import patch_attention
from .field import Field


class PatchAttention(nn.Module):
    """patch_attention as a layer: projections, heads, and a field to start from.

        layer = PatchAttention(64, heads=4)
        x = x + layer(x)                                   # self-attention, same shape
        filled = layer(x, mask=mask)                       # masked queries attend to known keys
        rebuilt = PatchAttention()(frame, other_frame)     # bare: no parameters, any channels

    channels: of the input and the output. None: a bare layer, whose q, k and v are its inputs.
    heads: the channels are split among them, and each searches for itself.
    context_channels: of what is attended to, if not `channels`.
    temperature: None for 1 with "l2", 0.1 with "cosine" and, as in transformers, the root of the
        count of numbers in a head's patch with "dot".
    warm: every call starts its search from the field of the call before, if that fits. For inputs
        that change slowly: from one denoising step to the next (30 to 27 % noise) the old field is,
        with no iteration at all, as near to the exact one as 5 iterations from scratch. From other
        features or another size it saves little where the search begins with a k-d tree (CPU).
    Everything else as in patch_attention. 2-D and 3-D (T, H, W) inputs alike.
    After a call `field` holds what was found, (B * heads, ...), no part of the state dict.
    """

    def __init__(
        self,
        channels: int | None = None,
        *,
        heads: int = 1,
        context_channels: int | None = None,
        patch_size: int = 3,
        neighbours: int = 3,
        iterations: int = 5,
        similarity: str = "l2",
        temperature: float | None = None,
        aggregate: bool = False,
        tail: str | None = None,
        exact: bool = False,
        warm: bool = False,
        quality: str = "fast",
        seed: int = 0,
        backend: str = "auto",
    ):
        super().__init__()
        if heads < 1 or channels is not None and channels % heads:
            raise ValueError(f"{channels} channels cannot be split among {heads} heads")
        if channels is None and context_channels is not None:
            raise ValueError("context_channels has no meaning without channels: nothing is learned")
        self.heads, self.temperature, self.warm = heads, temperature, warm
        self.settings: dict[str, Any] = dict(
            patch_size=patch_size,
            neighbours=neighbours,
            iterations=iterations,
            similarity=similarity,
            aggregate=aggregate,
            tail=tail,
            exact=exact,
            quality=quality,
            seed=seed,
            backend=backend,
        )
        self.field: Field | None = None
        sizes = [(channels, channels)] + 2 * [(context_channels or channels, channels)]
        self.to_q, self.to_k, self.to_v, self.to_output = (
            nn.Identity() if given is None or made is None else nn.Conv1d(given, made, 1)
            for given, made in (*sizes, (channels, channels))
        )

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        values: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        field: Field | None = None,
    ) -> Tensor:
        """x: (B, C, *size) queries. context: (B, C2, *size2) keys, x itself if None. values: maps
        of the context's size, the context itself if None. mask, field: as in patch_attention.
        Returns (B, channels, *size); bare, with the channels of the values.
        """
        context = x if context is None else context
        values = context if values is None else values
        q, k, v = (
            self._split(self._project(layer, maps))
            for layer, maps in ((self.to_q, x), (self.to_k, context), (self.to_v, values))
        )
        if mask is not None and len(mask) > 1:
            mask = mask.repeat_interleave(self.heads, 0)
        if field is None and self.warm and self._fits(q, k):
            field = self.field
        output, self.field = patch_attention(
            q, k, v, temperature=self._temperature(q), mask=mask, field=field, **self.settings
        )
        return self._project(self.to_output, output.reshape(len(x), -1, *output.shape[2:]))

    def _project(self, layer: nn.Module, maps: Tensor) -> Tensor:
        return layer(maps.flatten(2)).unflatten(2, maps.shape[2:])

    def _split(self, maps: Tensor) -> Tensor:
        """Heads folded into the batch."""
        if maps.shape[1] % self.heads:
            raise ValueError(f"{maps.shape[1]} channels cannot be split among {self.heads} heads")
        return maps.reshape(len(maps) * self.heads, -1, *maps.shape[2:])

    def _fits(self, q: Tensor, k: Tensor) -> bool:
        last = self.field
        return (
            last is not None
            and (last.size, last.source_size) == (tuple(q.shape[2:]), tuple(k.shape[2:]))
            and last.positions.shape[0] == len(q)
            and last.positions.device == q.device
        )

    def _temperature(self, q: Tensor) -> float:
        if self.temperature is not None:
            return self.temperature
        numbers = q.shape[1] * self.settings["patch_size"] ** (q.ndim - 2)
        return {"l2": 1.0, "cosine": 0.1}.get(self.settings["similarity"], sqrt(numbers))

    def extra_repr(self) -> str:
        shown = dict(heads=self.heads, temperature=self.temperature, warm=self.warm)
        return ", ".join(f"{name}={value!r}" for name, value in {**shown, **self.settings}.items())
