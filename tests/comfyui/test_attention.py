"""PSAL Patch in ComfyUI's own models, small and with random weights."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = ["sd15", "sdxl", "flux", "chroma", "sd3", "qwen", "wan", "ltxv"]
BLOCKS = {"sd15": 7, "sdxl": 11, "flux": 3, "chroma": 3, "sd3": 3, "qwen": 2, "wan": 2, "ltxv": 2}
EXACT = 1e-4  # relative, for the same sums in another order


@pytest.fixture(scope="module")
def found(in_comfyui):
    """What a check of attention_patch.py found, by its name."""
    out = in_comfyui("attention_patch.py", ROOT)
    answers = json.loads((out / "answers.json").read_text(encoding="utf-8"))

    def answer(name: str):
        assert not isinstance(answers[name], str), answers[name]  # a traceback
        return answers[name]

    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_keys_it_is_the_models_own_attention(kind, found):
    whole, few, report, untouched = found("all_keys")[kind]
    assert whole < EXACT and untouched
    assert few > 100 * EXACT, "with one key it is not"
    assert f"PSAL ran in {BLOCKS[kind]} of {BLOCKS[kind]} blocks" in report


def test_the_original_and_the_noise_stay_as_they_are(found):
    for kind, facts in found("untouched").items():
        assert all(facts.values()), (kind, facts)


def test_two_patches_in_both_orders(found):
    same = found("two_patches")
    assert all(same.values()) and len(same) == 4, same


def test_half_types(found):
    for name, distance in found("precisions").items():
        assert distance < (0.1 if "bfloat16" in name else 0.02), name


def test_conditions_share_the_field(found):
    assert all(all(pairs) and pairs for pairs in found("conditions").values()), found("conditions")


def test_merged_and_tiled_tokens_are_declined(found):
    assert len(found("token_merging")) == 4
    for name, (same, report) in found("token_merging").items():
        assert same, name
        assert "merged or tiled tokens" in report and "PSAL ran in no block" in report, report


def test_a_later_replacement_gets_its_pass(found):
    as_without, effect = found("guidance_by_perturbation")
    assert as_without < EXACT and effect > 100 * EXACT


def test_what_stood_there_before_runs_where_ours_declines(found):
    for kind, (same, as_often) in found("overrides").items():
        assert same and as_often, kind


def test_auto_keeps_the_models_own_and_says_how_far_it_was(found):
    for distance, report in found("automatic").values():
        assert distance == 0 and "PSAL ran in 0 of" in report and "%" in report


def test_reference_pictures_are_declined(found):
    same, report = found("reference_pictures")
    assert same and "reference pictures" in report
