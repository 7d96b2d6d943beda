"""Candidates as people write them."""

import pytest
import torch

from internal_methods.methods import inpaint
from internal_methods.methods.candidates import read_candidates
from internal_methods.methods.diffusion.inpaint import diffusion_inpaint
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train


def test_a_candidate_fills_with_its_settings():
    image, mask = torch.rand(2, 3, 40, 44), torch.zeros(2, 1, 40, 44)
    mask[..., 10:20, 12:22] = 1
    text = "\n small: method=patch patch_size=5 iterations=2 upsample=image # the smallest\n\n"
    [candidate] = read_candidates(text, backend="eager")
    assert candidate.name == "small"
    fill = candidate.fill(image, mask, source_mask=1 - mask, seed=3, callback=None)
    settings = {"patch_size": 5, "iterations": 2, "upsample": "image", "backend": "eager"}
    assert torch.equal(fill, inpaint(image, mask, seed=3, source_mask=1 - mask, **settings)[0])


def test_a_diffusion_candidate_learns_from_what_may_be_used_and_fills():
    image = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 32, 40)
    mask[..., 10:20, 12:22] = 1
    hidden = mask.clone()
    hidden[..., 30:] = 1  # neither filled nor learnt from
    text = "d: method=diffusion training_steps=3 width=4 window=16 steps=2 sampler=ddim"
    [candidate] = read_candidates(text)
    told = []
    fill = candidate.fill(image, mask, source_mask=1 - hidden, seed=3, callback=told.append)
    settings = {
        "network": NetworkSettings(width=4),
        "training": TrainingSettings(window=16, seed=3),
    }
    model = train(image, hidden, steps=3, **settings)
    assert torch.equal(fill, diffusion_inpaint(model, image, mask, steps=2, sampler="ddim", seed=3))
    shares = [step.done / step.total for step in told]
    assert shares == sorted(shares) and shares[0] < shares[-1] == 1


def test_the_method_may_be_left_out():
    assert [each.name for each in read_candidates("a: patch_size=5\nb:")] == ["a", "b"]


BAD = {
    "line 2 .*a name, a colon": "a: patch_size=5\nmethod=patch",
    "line 1 .*setting=value": "a: patch_size",
    "no method 'magic'; there is patch": "a: method=magic",
    "no setting 'size'; it has patch_size, levels": "a: method=patch size=7",
    "patch_size is 'seven', has to be a whole number": "a: patch_size=seven",
    "levels is '0', has to be a whole number above 0": "a: levels=0",
    "patch_size is 8, has to be odd": "a: patch_size=8",
    "upsample is 'both', has to be field or image": "a: upsample=both",
    "line 2 .*already": "a: patch_size=5\na: patch_size=7",
    "sampler is 'euler', has to be one of ancestral": "a: method=diffusion sampler=euler",
    "stands there twice": "a: patch_size=5 patch_size=7",
    "there is no candidate": "\n# none\n",
}


@pytest.mark.parametrize(("message", "text"), BAD.items(), ids=list(BAD))
def test_what_cannot_be_read_is_refused_by_its_line(message, text):
    with pytest.raises(ValueError, match=message):
        read_candidates(text)
