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


def text_place(diffusion: Any) -> str | None:
    """before, after or apart; None for a kind of model that is not known."""
    known = (TEXT.get(kind.__name__) for kind in type(diffusion).__mro__)
    return next((place for place in known if place), None)


def transformer_grid(
    diffusion: Any, latent: tuple[int, ...], text: int | None, tokens: int
) -> Grid | str:
    """The grid in a self-attention over `tokens` tokens, or why it is not known.

    latent: shape of the latent, (B, C, H, W) or (B, C, T, H, W). text: tokens of the conditioning.
    """
    place, kind = text_place(diffusion), type(diffusion).__name__
    if place is None:
        return f"no token grid is known for models of the kind {kind}"
    side = getattr(diffusion, "patch_size", 1)
    patch = (1, side, side) if isinstance(side, int) else tuple(side)
    sides = latent[2:] if len(latent) == 5 else (1, *latent[2:])
    size = tuple(-(-n // p) for n, p in zip(sides, patch, strict=True))
    grid = Grid(size if size[0] > 1 else size[1:])
    if place == "apart" and tokens == grid.tokens == text:
        return f"the text has as many tokens as the picture ({tokens}): which it is does not show"
    if tokens == grid.tokens:
        return grid
    if place != "apart" and text is not None and tokens == grid.tokens + text:
        return Grid(grid.size, text if place == "before" else 0)
    told = "x".join(map(str, grid.size))
    extra = "" if place == "apart" else f" and {text} of text"
    return (
        f"{tokens} tokens are not the {told} of the picture{extra}: merged or tiled tokens, or "
        "reference pictures"
    )
