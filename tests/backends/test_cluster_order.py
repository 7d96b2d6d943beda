"""The order of points by clusters, on every backend."""

import torch

from reference import cluster_order as reference


def points(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spread(given, order, blocks):
    """The mean squared distance from the means of the blocks of the order."""
    listed = given.gather(1, order[..., None].expand_as(given))
    listed = listed.unflatten(1, (blocks, -1))
    return (listed - listed.mean(2, keepdim=True)).square().sum(3).mean()


def test_every_point_is_listed_once(backend):
    order = backend("cluster_order", points(3, 8 * 7, 5), 3)
    assert order.dtype == torch.int64
    assert (order.sort(1).values == torch.arange(56)).all()


def test_separate_clusters_become_blocks(backend):
    centres = torch.tensor([[9.0, 0, 0], [9, 4, 0], [-9, 0, 4], [-9, 0, -4]])
    mixed = torch.randperm(4 * 16, generator=torch.Generator().manual_seed(1))
    cloud = (centres.repeat_interleave(16, 0) + 0.1 * points(64, 3))[mixed]
    order = backend("cluster_order", cloud[None], 2)
    labels = (mixed // 16)[order[0]].view(4, 16)
    assert (labels == labels[:, :1]).all()


def test_blocks_are_tighter_from_level_to_level(backend):
    given = points(2, 1024, 6) * torch.tensor([5.0, 3, 2, 1, 1, 1])
    order = backend("cluster_order", given, 6)
    spreads = [spread(given, order, 1 << level) for level in range(7)]
    assert all(b < 0.9 * a for a, b in zip(spreads, spreads[1:], strict=False))
    # halving along the widest of 6 axes, known for normal data: 1 - 2 / pi of its variance is left
    expected = spreads[0] * (1 - (25 * 2 / torch.pi) / 41)
    torch.testing.assert_close(spreads[1], expected, rtol=0.05, atol=0)


def test_equal_points_and_views_and_no_levels(backend):
    assert (
        backend("cluster_order", torch.ones(1, 32, 2), 3).sort(1).values[0] == torch.arange(32)
    ).all()
    view = points(1, 5, 64).permute(0, 2, 1)
    assert (backend("cluster_order", view, 4).sort(1).values[0] == torch.arange(64)).all()
    assert backend("cluster_order", points(1, 6, 2), 0).shape == (1, 6)


def test_against_the_reference(backend):
    given = points(2, 96, 4, seed=3) * torch.tensor([4.0, 2.5, 1.5, 1.0])
    order = backend("cluster_order", given, 3)
    for b in range(2):
        blocks = [set(block) for block in order[b].view(8, 12).tolist()]
        assert blocks == reference.cluster_order(given[b].double().numpy(), 3)
