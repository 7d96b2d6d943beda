"""Rows of clips: what is averaged, what is told, and what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.metrics import CLIP_METRICS, METRICS, compare, compare_clips
from internal_methods.methods.metrics.i3d import I3D, I3D_TFHUB
from internal_methods.methods.metrics.temporal import noise, ratio, warp_error
from internal_methods.methods.metrics.video_frechet import svfid, svfid_inside_outside
from internal_methods.storage.weights import WeightsFolder
from shared import shared

FRAMES, HEIGHT, WIDTH = 4, 48, 64
RATIOS = ("flicker", "noise", "noise_variation")


def clip(seed: int = 0, frames: int = FRAMES, batch: int = 1) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch * frames, 3, HEIGHT // 4, WIDTH // 4, generator=numbers)
    pictures = F.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")
    return pictures.view(batch, frames, 3, HEIGHT, WIDTH).movedim(2, 1)


def grainy() -> torch.Tensor:
    """One picture, with other grain in each frame."""
    numbers = torch.Generator().manual_seed(7)
    return clip(frames=1) + 0.05 * torch.randn(1, 3, FRAMES, HEIGHT, WIDTH, generator=numbers)


def hole(frames: int = 1) -> torch.Tensor:
    mask = torch.zeros(1, 1, frames, HEIGHT, WIDTH)
    mask[..., 8:40, 16:48] = 1
    return mask


def by_region(rows) -> dict:
    return {(row.metric, row.region): row for row in rows}


def frames_of(given: torch.Tensor) -> torch.Tensor:
    return given[0].movedim(1, 0)


def test_an_image_metric_is_its_mean_over_the_frames():
    result, reference, mask = clip(0), clip(1), hole(FRAMES)
    names = ["ssim", "psnr", "tv"]
    rows = by_region(compare_clips(result, reference, mask=mask, metrics=names, ring=5))
    given = frames_of(result), frames_of(reference)
    single = compare(*given, mask=frames_of(mask), metrics=names, ring=5)
    for key in {(row.metric, row.region) for row in single}:
        values = [row.value for row in single if (row.metric, row.region) == key]
        assert len(values) == FRAMES
        assert rows[key].value == pytest.approx(sum(values) / FRAMES) or math.isinf(values[0])
    assert [key[0] for key in rows] == sorted((k[0] for k in rows), key=list(METRICS).index)
    assert rows["psnr", "outside"].better == "higher"


def test_one_mask_serves_all_frames():
    result, reference = clip(0), clip(1)
    names = ["l1", "noise", "warp_error"]
    one = compare_clips(result, reference, mask=hole(), metrics=names)
    many = compare_clips(result, reference, mask=hole(FRAMES), metrics=names)
    assert [row.value for row in one] == pytest.approx([row.value for row in many], rel=1e-9)


def test_frames_without_a_hole_are_left_out_of_its_mean_and_that_is_told():
    result, reference, mask = clip(0), clip(1), hole(FRAMES)
    mask[:, :, 1] = 0
    row = by_region(compare_clips(result, reference, mask=mask, metrics=["l1"]))["l1", "inside"]
    there = [0, 2, 3]
    apart = (result - reference).abs()[:, :, there, 8:40, 16:48].mean()
    assert row.value == pytest.approx(float(apart), rel=1e-5)
    assert row.note.startswith("mean of 3 of 4 frames")


def test_the_metrics_of_motion_and_grain_are_those_functions():
    result, reference, mask = clip(0), clip(1), hole()
    rows = by_region(compare_clips(result, reference, mask=mask, metrics=list(CLIP_METRICS)))
    own = warp_error(result, None, mask, 1 - mask, reference=reference)[0].tolist()
    assert [rows["warp_error", r].value for r in ("all", "inside", "outside")] == own
    around = torch.zeros_like(mask)
    around[..., 0:48, 0:64] = 1 - mask[..., 0:48, 0:64]  # 16 pixels reach the border everywhere
    assert rows["noise", "inside"].value == pytest.approx(float(ratio(noise(result, mask, around))))
    assert "1 is best" in rows["noise", "inside"].note and rows["noise", "inside"].better == ""


def test_without_a_reference_what_needs_none_comes_out():
    rows = by_region(compare_clips(grainy(), mask=hole()))
    assert {metric for metric, _ in rows} == {*RATIOS, "warp_error", "svfid_inside_outside"}
    assert all(math.isfinite(rows[name, "inside"].value) for name in RATIOS)
    assert rows["warp_error", "all"].note == "along the motion of the result"
    without = {row.metric for row in compare_clips(clip(), metrics=None)}
    assert without == {"warp_error"}


def test_by_default_metrics_that_compare_pixel_by_pixel_are_taken():
    found = {row.metric for row in compare_clips(clip(0), clip(1))}
    aligned = {name for name, metric in METRICS.items() if metric.aligned}
    assert found == aligned | {"warp_error", "svfid"}


@pytest.mark.parametrize(
    ("name", "word"),
    [("psnr", "reference"), ("svfid", "reference"), ("noise", "mask"), ("vfid", "reference")],
)
def test_what_was_asked_for_and_cannot_be_had_is_a_row_that_says_why(name, word):
    [row] = compare_clips(clip(), metrics=[name])
    assert math.isnan(row.value) and f"it needs a {word}" in row.note


def test_missing_weights_are_told_with_both_files_that_would_do(tmp_path):
    rows = by_region(
        compare_clips(clip(), clip(1), metrics=["svfid", "l1"], weights=WeightsFolder([tmp_path]))
    )
    assert rows["l1", "all"].value > 0
    row = rows["svfid", "all"]
    assert math.isnan(row.value) and str(tmp_path) in row.note
    assert "rgb_imagenet.pt" in row.note and "i3d_kinetics400_tfhub.safetensors" in row.note


def test_a_clip_too_short_for_the_network_is_a_row_that_says_so():
    folder = shared("weights/i3d_kinetics400_tfhub.safetensors").parent
    weights = WeightsFolder([folder])
    rows = compare_clips(clip(), clip(1), metrics=["svfid", "l1"], weights=weights)
    row = by_region(rows)["svfid", "all"]
    assert math.isnan(row.value) and "4 frames, but at least 7 are needed" in row.note


def test_the_metrics_of_i3d_are_those_functions_and_name_their_weights():
    folder = shared("weights/i3d_kinetics400_tfhub.safetensors").parent
    both, other = clip(0, frames=10, batch=2), clip(5, frames=10, batch=2)
    mask = hole()
    asked = {
        "metrics": ["svfid", "svfid_inside_outside", "vfid"],
        "weights": WeightsFolder([folder]),
    }
    with torch.inference_mode():
        rows = compare_clips(both, other, mask=mask, image="shot", **asked)
    assert [row.image for row in rows] == ["shot 0", "shot 0", "shot 1", "shot 1", "shot"]
    assert all(row.weights.startswith("i3d_kinetics400_tfhub.safetensors ") for row in rows)
    network = I3D(asked["weights"].load(I3D_TFHUB).tensors)
    expected = [svfid(both[:1], other[:1], network), svfid_inside_outside(both[:1], mask, network)]
    assert [row.value for row in rows[:2]] == pytest.approx(torch.cat(expected).tolist(), rel=1e-5)
    assert rows[-1].value > 0 and "2 samples for 1024 dimensions" in rows[-1].note


def test_a_single_clip_has_no_vfid():
    [row] = compare_clips(clip(), clip(1), metrics=["vfid"])
    assert math.isnan(row.value) and "for one clip there is svfid" in row.note


def test_progress_rises_to_the_end():
    seen = []
    compare_clips(clip(), clip(1), mask=hole(), metrics=["l1", "noise"], callback=seen.append)
    done = [step.done for step in seen]
    assert done == sorted(done) and set(done) == {0, 1, 2, 3, 4, 5}
    assert {step.total for step in seen} == {5} and seen[-1].image.shape == (1, 3, HEIGHT, WIDTH)


class Cancelled(Exception):
    """What a program raises that wants an end."""


@pytest.mark.parametrize("name", ["warp_error", "flicker", "noise", "noise_variation", "svfid"])
def test_a_metric_of_clips_can_be_interrupted_in_every_frame(name):
    folder = shared("weights/i3d_kinetics400_tfhub.safetensors").parent
    calls = []

    def cancel_at_the_fourth(step):
        calls.append(step.done)
        if len(calls) == 4:
            raise Cancelled

    given = {"mask": hole(), "weights": WeightsFolder([folder])}
    with pytest.raises(Cancelled):
        compare_clips(
            clip(frames=8),
            clip(1, frames=8),
            metrics=[name],
            callback=cancel_at_the_fourth,
            **given,
        )
    assert calls == [0, 0, 0, 0]  # inside the first metric


REFUSED = {
    "length": (
        (clip(), clip(frames=5)),
        "4 frames, the reference 5; cut the longer one",
    ),
    "one frame": ((clip(frames=1), clip(frames=1)), "the result has one frame"),
    "size": ((clip(), clip()[..., :40]), "the result is 48x64, the reference 48x40; resize one"),
    "channels": ((clip(), clip()[:, :1]), "3 channels, the reference 1"),
    "batch": ((clip(batch=3), clip(batch=2)), "2 references for 3 clips"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_clips_that_do_not_fit_together_are_refused(case):
    given, told = REFUSED[case]
    with pytest.raises(ValueError, match=told):
        compare_clips(*given)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 frames, the result 4; give as many, or one"):
        compare_clips(clip(), mask=hole(3))
    with pytest.raises(ValueError, match="the mask is 48x60, the result 48x64"):
        compare_clips(clip(), mask=hole()[..., :60])
    with pytest.raises(ValueError, match="expected \\(B, 1, T, H, W\\)"):
        compare_clips(clip(), mask=hole()[0])


def test_unknown_names_are_told_with_what_there_is():
    with pytest.raises(ValueError, match="no metric beauty; there are psnr.*warp_error"):
        compare_clips(clip(), metrics=["beauty"])


def test_inputs_are_left_as_they_were():
    given = [clip(0), clip(1), hole()]
    before = [each.clone() for each in given]
    with torch.inference_mode():
        compare_clips(given[0], given[1], mask=given[2], metrics=["l1", *RATIOS, "warp_error"])
    assert all(torch.equal(one, other) for one, other in zip(given, before, strict=True))
