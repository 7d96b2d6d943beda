"""Grids of transformers, from what is known of them."""

import pytest
import torch

from internal_methods.nodes.model_grids import Grid, layout, transformer_grid


def kind(name, base=torch.nn.Module, **attributes):
    return type(name, (base,), attributes)


@pytest.mark.parametrize(
    ("name", "patch", "latent", "text", "tokens", "grid"),
    [
        ("Flux", 2, (1, 16, 9, 8), 7, 27, Grid((5, 4), 7)),  # an odd side is padded
        ("Flux", 2, (1, 16, 9, 8), 7, 20, Grid((5, 4))),
        ("HunyuanVideo", [1, 2, 2], (1, 16, 3, 4, 6), 7, 25, Grid((3, 2, 3), 0)),
        ("HunyuanVideo", [1, 1], (1, 64, 4, 6), 7, 31, Grid((4, 6), 0)),  # pictures
        ("WanModel", (1, 2, 2), (2, 16, 3, 4, 6), 7, 18, Grid((3, 2, 3))),
        ("WanModel", (1, 2, 2), (2, 16, 1, 4, 6), 7, 6, Grid((2, 3))),  # one frame
        ("LTXVModel", None, (1, 128, 2, 3, 4), 7, 24, Grid((2, 3, 4))),
    ],
)
def test_a_grid_follows_from_the_latent(name, patch, latent, text, tokens, grid):
    known = {} if patch is None else {"patch_size": patch}
    assert transformer_grid(layout(kind(name, **known)()), latent, text, tokens) == grid


@pytest.mark.parametrize(
    ("name", "text", "tokens", "told"),
    [
        ("WanModel", 12, 12, "the text has as many tokens as the picture"),
        ("WanModel", 7, 19, "19 tokens are not the 2x2x3 of the picture:"),
        ("Flux", 7, 20, "20 tokens are not the 2x2x3 of the picture and 7 of text"),
        ("Flux", None, 19, "19 tokens are not"),
        ("Other", 7, 19, "no token grid is known for models of the kind Other"),
    ],
)
def test_what_does_not_add_up_is_no_grid(name, text, tokens, told):
    model = kind(name, patch_size=2)()
    assert transformer_grid(layout(model), (1, 16, 2, 4, 6), text, tokens).startswith(told)


def test_models_that_derive_from_known_ones_and_compiled_ones_are_known():
    vace = kind("VaceWanModel", kind("WanModel"), patch_size=(1, 2, 2))()
    assert layout(vace).text == "apart" and layout(vace).kind == "VaceWanModel"
    compiled = kind("OptimizedModule")()
    compiled._orig_mod = vace
    assert layout(compiled) == layout(vace)
