"""Convolutions of clips, on every backend, with their gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from internal_methods import backends
from internal_methods.backends.eager.clip_convolution import SMALL
from internal_methods.backends.threads import FEW
from reference import clip_convolution as reference


def given(size=(1, 4, 7, 9, 10), channels=5, taps=3):
    """Values, weights of a usual size, and a bias."""
    generator = Generator().manual_seed(0)
    values = torch.randn(size, generator=generator)
    weight = torch.randn(channels, size[1], taps, 3, 3, generator=generator)
    return values, weight / weight[0].numel() ** 0.5, torch.randn(channels, generator=generator)


CASES = {
    "plain": (given(), 1),
    "channels of several vectors": (given((1, 33, 3, 16, 12), 20), 1),
    "several clips": (given((3, 4, 3, 8, 9)), 1),
    "one frame": (given((1, 4, 1, 24, 23)), 1),
    "frames of several blocks": (given((1, 2, 27, 5, 5)), 1),
    "longer than it is": (given((1, 4, 5, 11, 13)), 2),
    "a loop, not padded in time": (given((1, 4, 9, 9, 9)), 0),
    "single frames": (given((1, 4, 6, 9, 11), taps=1), 0),
    "narrower than a tile": (given((1, 4, 90, 2, 3)), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_against_the_reference(backend, case):
    tensors, around = CASES[case]
    made = backend("clip_convolution", *tensors, (around, 1, 1))
    there = reference.clip_convolution(*(t.double().numpy() for t in tensors), (around, 1, 1))
    np.testing.assert_allclose(made.detach().numpy(), there, rtol=0, atol=3e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("case", CASES)
def test_gradients_against_those_in_double_precision(backend, case, layout):
    tensors, around = CASES[case]
    values = tensors[0].contiguous(memory_format=layout)
    ours = [t.clone().requires_grad_() for t in (values, *tensors[1:])]
    made = backend("clip_convolution", *ours, (around, 1, 1))
    theirs = [t.double().requires_grad_() for t in tensors]
    there = F.conv3d(*theirs, padding=(around, 1, 1))
    gradient = torch.randn(made.shape, generator=Generator().manual_seed(1))
    here = torch.autograd.grad(made, ours, gradient)
    there = torch.autograd.grad(there, theirs, gradient.double())
    for name, mine, exact in zip(("values", "weights", "bias"), here, there, strict=True):
        close = 3e-5 * exact.abs().max()
        torch.testing.assert_close(mine.double(), exact, rtol=0, atol=float(close), msg=name)


def test_only_what_is_asked_for_is_derived(backend):
    values, weight, bias = given()
    weight.requires_grad_()
    made = backend("clip_convolution", values, weight, bias, (1, 1, 1))
    made.sum().backward()
    assert weight.grad is not None and weight.grad.shape == weight.shape


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit(backend, threads):
    if backend.name != "cpu":
        pytest.skip("torch promises no such thing")
    made = []
    for count in (1, 2, 5):
        threads(count)
        tensors = [t.clone().requires_grad_() for t in given((1, 33, 25, 36, 36), 20)]
        out = backend("clip_convolution", *tensors, (1, 1, 1))
        made.append([out.detach(), *torch.autograd.grad(out.square().sum(), tensors)])
    assert all(torch.equal(a, b) for other in made[1:] for a, b in zip(made[0], other, strict=True))


def test_what_is_not_finite_stays_in_its_neighbourhood(backend):
    values, weight, bias = given((1, 4, 7, 24, 24))
    values[..., 3, 10, 10] = torch.inf
    made = backend("clip_convolution", values, weight, bias, (1, 1, 1))
    spoilt = ~made.isfinite().all((0, 1))
    assert spoilt[3, 10, 10]
    assert not spoilt[:2].any() and not spoilt[..., :8, :].any() and not spoilt[..., 16:].any()


@pytest.mark.parametrize(
    "change, reason",
    [
        (dict(values=torch.zeros(1, 4, 2, 5, 5)), "too little to multiply"),
        (dict(values=torch.zeros(1, 4, 7, 9, 10, dtype=torch.float64)), "computes in float32"),
        (dict(weight=torch.zeros(5, 4, 1, 1, 1)), "convolves with 3 x 3"),
        (dict(padding=(1, 0, 0)), "keeps the size"),
    ],
)
def test_what_the_kernels_leave_to_torch(change, reason):
    cpu = pytest.importorskip("internal_methods.backends.cpu.clip_convolution")
    settings = dict(zip(("values", "weight", "bias"), given(), strict=True)) | {
        "padding": (1, 1, 1)
    }
    assert cpu.why_not(**settings) is None
    assert reason in cpu.why_not(**settings | change)
    with torch.autocast("cpu", torch.bfloat16):
        assert "float32" in cpu.why_not(**settings)


def test_many_threads_are_left_to_torch(threads):
    cpu = pytest.importorskip("internal_methods.backends.cpu.clip_convolution")
    threads(FEW + 1)
    assert "so many threads" in cpu.why_not(*given(), (1, 1, 1))


@pytest.mark.parametrize("frames", [1, 2, 7, 12])
@pytest.mark.parametrize("size", [1, 3])
def test_in_torch_one_clip_in_halves_is_the_clip_as_a_whole(frames, size):
    generator = Generator().manual_seed(0)
    clip = torch.randn(1, 4, frames, 9, 8, generator=generator)
    weight, bias = torch.randn(5, 4, *[size] * 3, generator=generator), torch.zeros(5)
    assert clip.shape[1:4].numel() <= SMALL
    padding = (size // 2,) * 3
    made = backends.run("clip_convolution", clip, weight, bias, padding, backend="eager")
    torch.testing.assert_close(made, F.conv3d(clip, weight, bias, padding=padding))
