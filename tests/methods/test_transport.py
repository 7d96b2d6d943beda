"""The parts of optimal transport that generation is made of."""

import torch

from internal_methods.methods import generate
from internal_methods.methods.transport import (
    all_patches,
    balance,
    cheapest,
    fits,
    pair_costs,
    softening,
)


def picture(height=24, width=28, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 5, 5), generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def test_patches_and_costs_are_those_of_plain_loops():
    image, other = picture(9, 11), picture(8, 10, seed=1)
    patches, others = all_patches(image, 5), all_patches(other, 5)
    assert patches.shape == (5 * 7, 75) and others.shape == (4 * 6, 75)
    assert torch.equal(patches[8], image[0, :, 1:6, 1:6].flatten())  # row-major centres
    wanted = torch.cdist(patches.double(), others.double()).square()
    torch.testing.assert_close(pair_costs(patches, others).double(), wanted, rtol=1e-4, atol=1e-4)
    wrapped = all_patches(image, 5, (False, True))
    tiled = all_patches(image.repeat(1, 1, 1, 3)[..., 9:24], 5)
    assert torch.equal(wrapped, tiled)


def test_the_cheapest_column():
    costs, discounts = torch.rand(150, 40), torch.rand(40)
    assert torch.equal(cheapest(costs, discounts), (costs - discounts).argmin(dim=1))


def test_balancing_spreads_the_choice_evenly():
    """Without discounts everybody wants the one column that is cheapest."""
    costs = torch.rand(60, 60, generator=torch.Generator().manual_seed(0))
    costs[:, 7] = 0
    start = torch.zeros(60)
    assert len(cheapest(costs, start).unique()) == 1
    found = balance(costs, start, softening(costs, 8, 0.01))
    assert len(cheapest(costs, found).unique()) > 45


def test_scales_are_added_until_transport_fits():
    assert fits((64, 64)) and fits((32, 128)) and not fits((64, 65))
    sizes = []
    generate(
        picture(150, 150),
        method="psinot",
        scales=1,
        patch_size=5,
        iterations=1,
        callback=lambda step: sizes.append(step.image.shape[2]) if step.level_done else None,
    )
    assert sizes == [38, 75, 150]
