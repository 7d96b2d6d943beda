"""Runs PSAL Patch in ComfyUI's own models, for test_attention.py.

Started in ComfyUI's interpreter: attention_patch.py CHECKOUT OUT PACK
OUT/answers.json gets what every check found.
"""

import importlib.util
import json
import logging
import sys
import traceback
from pathlib import Path

CHECKOUT, OUT, PACK = map(Path, sys.argv[1:])
del sys.argv[1:]
sys.path.insert(0, str(CHECKOUT))
sys.path.insert(1, str(Path(__file__).parent))

import utils.install_util  # noqa: E402, F401  ComfyUI's, before another `utils` takes the name
from comfy.cli_args import args  # noqa: E402

args.cpu, args.base_directory = True, str(OUT)

import attention_models as small  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.sample  # noqa: E402
import comfy_api.latest  # noqa: E402, F401  by which the pack knows that this is ComfyUI
import torch  # noqa: E402
from comfy_extras.nodes_hypertile import HyperTile  # noqa: E402
from comfy_extras.nodes_pag import PerturbedAttentionGuidance  # noqa: E402
from comfy_extras.nodes_tomesd import TomePatchModel  # noqa: E402

spec = importlib.util.spec_from_file_location("pack", PACK / "__init__.py")
sys.modules["pack"] = module = importlib.util.module_from_spec(spec)
module.__path__ = [str(PACK)]
spec.loader.exec_module(module)
from pack.nodes.attention import PSALPatch, PSALReport  # noqa: E402

SETTINGS = {
    "neighbours": 31,
    "patch_size": 1,
    "iterations": 5,
    "temperature": 1.0,
    "aggregate": False,
    "tail": "pooled",
    "blocks": "all",
    "start_percent": 0.0,
    "end_percent": 1.0,
    "minimum_tokens": 1,
    "reuse": True,
    "mode": "always",
    "tolerance": 0.05,
    "seed": 0,
}
STEPS = 2
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def patched(model, **settings):
    return PSALPatch.execute(model, **SETTINGS | settings).args[0]


def report(model) -> str:
    return PSALReport.execute(model, {}).args[0]


def sampled(model, kind: str, sampler="euler", times=1, text=(1, 2), cfg=4.0):
    """Two steps from noise, as a KSampler makes them."""
    empty = small.latent(kind, times)
    noise = comfy.sample.prepare_noise(empty, 3)
    positive, negative = (small.conditioning(kind, seed) for seed in text)
    return comfy.sample.sample(
        *(model, noise, STEPS, cfg, sampler, "normal", positive, negative, empty), seed=3
    )


def apart(one, other) -> float:
    """Relative distance of two latents."""
    assert one.isfinite().all() and other.isfinite().all()
    return float((one - other).norm() / other.norm())


@check
def all_keys():
    """kind -> distance from the model as it is, and the report."""
    found = {}
    for kind in small.KINDS:
        model = small.model(kind)
        whole, few = patched(model), patched(model, neighbours=1)
        expected = sampled(model, kind)
        distances = [apart(sampled(each, kind), expected) for each in (whole, few)]
        found[kind] = [
            *distances,
            report(whole),
            model.model_options == {"transformer_options": {}},
        ]
    return found


@check
def untouched():
    """Is the original the same after patching, sampling and bypass? Is the random state?"""
    found = {}
    for kind in ("sd15", "flux"):
        model = small.model(kind)
        weights = {name: value.clone() for name, value in model.model.state_dict().items()}
        before = sampled(model, kind, "euler_ancestral")
        torch.manual_seed(11)
        state = torch.get_rng_state()
        changed = patched(model, neighbours=2)
        same_noise = torch.equal(torch.get_rng_state(), state)
        first = sampled(changed, kind, "euler_ancestral")
        found[kind] = {
            "noise": same_noise
            and torch.equal(noise_drawn(changed, kind), noise_drawn(model, kind)),
            "changes": not torch.equal(first, before),
            "original": torch.equal(sampled(model, kind, "euler_ancestral"), before),
            "options": model.model_options == {"transformer_options": {}},
            "hooks": not model.callbacks and not model.wrappers and not model.attachments,
            "weights": all(torch.equal(weights[n], v) for n, v in model.model.state_dict().items()),
            "again": torch.equal(sampled(changed, kind, "euler_ancestral"), first),
            "clone of a clone": torch.equal(
                sampled(changed.clone().clone(), kind, "euler_ancestral"), first
            ),
        }
    return found


def noise_drawn(model, kind):
    """What a sampler that draws noise finds in the random state afterwards."""
    torch.manual_seed(12)
    sampled(model, kind, "euler_ancestral")
    return torch.randn(8)


@check
def two_patches():
    """Later over earlier, either a no-op by its size, in both orders."""
    found = {}
    for kind in ("sd15", "flux"):
        model = small.model(kind)
        real, idle = {"neighbours": 2}, {"minimum_tokens": 10**6}
        expected = sampled(patched(model, **real), kind)
        for name, order in (("idle last", (real, idle)), ("idle first", (idle, real))):
            both = patched(patched(model, **order[0]), **order[1])
            found[f"{kind}, {name}"] = torch.equal(sampled(both, kind), expected)
    return found


@check
def precisions():
    """Half types: distance from the model as it is in that type, with all keys."""
    found = {}
    for kind in ("sd15", "flux"):
        for dtype in (torch.float16, torch.bfloat16):
            model = small.model(kind, dtype)
            distance = apart(sampled(patched(model), kind), sampled(model, kind))
            found[f"{kind} {dtype}"] = distance
    return found


@check
def conditions():
    """The same text on both sides: are both halves of the batch the same to the bit?"""
    found = {}
    for kind in ("sd15", "flux"):
        model = patched(small.model(kind), neighbours=2, iterations=1)
        halves, inner = [], model.model._apply_model

        def look(*args, halves=halves, inner=inner, **kwargs):
            halves.append(inner(*args, **kwargs).chunk(2))
            return inner(*args, **kwargs)

        model.model._apply_model = look
        sampled(model, kind, times=2, text=(1, 1))
        found[kind] = [torch.equal(*pair) for pair in halves]
    return found


@check
def token_merging():
    """ToMe, HyperTile before and after the patch: as without the patch, and what it says."""
    found = {}
    for name, node in (("ToMe", tome), ("HyperTile", hypertile)):
        model = small.model("sd15")
        expected = repeated(node(model))
        blocks = "input 1" if name == "ToMe" else "input 1,3"  # where they are at work
        before = patched(node(model), blocks=blocks)
        found[f"{name} before"] = [torch.equal(repeated(before), expected), report(before)]
        after = node(patched(model, blocks=blocks))
        found[f"{name} after"] = [torch.equal(repeated(after), expected), report(after)]
    return found


def tome(model):
    return TomePatchModel.execute(model, 0.5).args[0]


def hypertile(model):
    return HyperTile.execute(model, 32, 1, 1, False)[0]


def repeated(model):
    torch.manual_seed(7)  # both of them draw from the global generator
    return sampled(model, "sd15", times=4)


@check
def guidance_by_perturbation():
    """PAG puts its own attention into the middle for a third pass, and must get it."""
    model = small.model("sd15")
    pag = PerturbedAttentionGuidance.execute(patched(model), 3.0).args[0]
    expected = PerturbedAttentionGuidance.execute(model, 3.0).args[0]
    plain = sampled(model, "sd15")
    return [
        apart(sampled(pag, "sd15"), sampled(expected, "sd15")),
        apart(plain, sampled(pag, "sd15")),
    ]


@check
def overrides():
    """Another attention under ours runs where ours declines, in UNet and transformer."""
    found = {}
    for kind in ("sd15", "flux"):
        model, calls = small.model(kind), []

        def other(func, *args, calls=calls, **kwargs):
            calls.append(args[0].shape)
            return func(*args, **kwargs) * 0.5

        model.model_options["transformer_options"]["optimized_attention_override"] = other
        expected, alone = sampled(model, kind), len(calls)
        calls.clear()
        same = torch.equal(sampled(patched(model, minimum_tokens=10**6), kind), expected)
        found[kind] = [same, len(calls) == alone]
    return found


@check
def automatic():
    """Auto with a tolerance that nothing keeps: the model as it is, and the numbers why."""
    found = {}
    for kind in ("sdxl", "wan"):
        model = small.model(kind)
        far = patched(model, neighbours=1, mode="auto", tolerance=1e-3)
        found[kind] = [
            apart(sampled(far, kind, times=2), sampled(model, kind, times=2)),
            report(far),
        ]
    return found


@check
def reference_pictures():
    """Flux with the latents of a reference picture among its tokens: declined."""
    model = small.model("flux")
    empty = small.latent("flux")
    positive, negative = (small.conditioning("flux", seed) for seed in (1, 2))
    for each in (positive, negative):
        each[0][1]["reference_latents"] = [torch.ones(1, 16, 8, 8)]
    results = []
    for each in (model, changed := patched(model, neighbours=2)):
        noise = comfy.sample.prepare_noise(empty, 3)
        results.append(
            comfy.sample.sample(
                *(each, noise, STEPS, 4.0, "euler", "normal", positive, negative, empty), seed=3
            )
        )
    return [torch.equal(*results), report(changed)]


logging.getLogger().setLevel(logging.WARNING)
answers = {}
with torch.inference_mode():
    for name, function in CHECKS.items():
        try:
            answers[name] = function()
        except Exception:
            answers[name] = traceback.format_exc()
(OUT / "answers.json").write_text(json.dumps(answers))
