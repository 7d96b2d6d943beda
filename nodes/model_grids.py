"""Which tokens of a model's attention are the picture's, and how they lie.

UNets say so themselves (`activations_shape`). Of transformers only the shape of the latent is
known: the grid follows from it and the model's patch size, the text tokens from the conditioning,
and both together must account for every token. Written against ComfyUI 0.3.64.
"""

from dataclasses import dataclass
from typing import Any

# Class of the diffusion model (or of one it derives from) -> where the tokens of the text stand in
# its self-attention: before or after the picture's, or apart, in a cross-attention of their own.
TEXT = {
    "Flux": "before",
    "Chroma": "before",
    "MMDiT": "before",  # Stable Diffusion 3
    "QwenImageTransformer2DModel": "before",
    "HunyuanVideo": "after",
    "WanModel": "apart",
    "LTXVModel": "apart",
}


@dataclass(frozen=True)
class Grid:
    """The picture's tokens: `size` (H, W) or (T, H, W), row by row, from the token `first` on."""

    size: tuple[int, ...]
    first: int = 0

    @property
    def tokens(self) -> int:
        count = 1
        for side in self.size:
            count *= side
        return count


def unet_blocks(diffusion: Any) -> dict[tuple[str, int], int] | None:
    """(part, number) -> how many attentions of pictures lie there; None where it is no UNet."""
    if not hasattr(diffusion, "input_blocks") or not hasattr(diffusion, "output_blocks"):
        return None
    parts = {"input": diffusion.input_blocks, "output": diffusion.output_blocks}
    if getattr(diffusion, "middle_block", None) is not None:
        parts["middle"] = [diffusion.middle_block]
    found = {}
    for part in ("input", "middle", "output"):
        for number, block in enumerate(parts.get(part, ())):
            depths = [len(m.transformer_blocks) for m in block if hasattr(m, "transformer_blocks")]
            if depths:
                found[part, number] = max(depths)
    return found


@dataclass(frozen=True)
class Layout:
    """What tells the grid of a transformer: `kind`, its class; `text`, where the tokens of the text
    stand, None if the class is not known; `patch`, sides (t, y, x) of what becomes a token.
    """

    kind: str
    text: str | None
    patch: tuple[int, int, int]


def layout(diffusion: Any) -> Layout:
    diffusion = getattr(diffusion, "_orig_mod", diffusion)  # inside a compiled one
    kinds = type(diffusion).__mro__
    text = next((TEXT[kind.__name__] for kind in kinds if kind.__name__ in TEXT), None)
    side = getattr(diffusion, "patch_size", 1)
    sides = (side, side) if isinstance(side, int) else tuple(side)
    return Layout(kinds[0].__name__, text, (1, 1, *sides)[-3:])


def transformer_grid(
    layout: Layout, latent: tuple[int, ...], text: int | None, tokens: int
) -> Grid | str:
    """The grid in a self-attention over `tokens` tokens, or why it is not known.

    latent: shape of the latent, (B, C, H, W) or (B, C, T, H, W). text: tokens of the conditioning.
    """
    if layout.text is None:
        return f"no token grid is known for models of the kind {layout.kind}"
    sides = latent[2:] if len(latent) == 5 else (1, *latent[2:])
    size = tuple(-(-n // p) for n, p in zip(sides, layout.patch, strict=True))
    grid = Grid(size if size[0] > 1 else size[1:])
    apart = layout.text == "apart"
    if apart and tokens == grid.tokens == text:
        return f"the text has as many tokens as the picture ({tokens}): which it is does not show"
    if tokens == grid.tokens:
        return grid
    if not apart and text is not None and tokens == grid.tokens + text:
        return Grid(grid.size, text if layout.text == "before" else 0)
    told = "x".join(map(str, grid.size))
    extra = "" if apart else f" and {text} of text"
    return (
        f"{tokens} tokens are not the {told} of the picture{extra}: merged or tiled tokens, or "
        "reference pictures"
    )
