"""Runs the nodes that look at attention in ComfyUI's own models, for test_attention_nodes.py.

Started in ComfyUI's interpreter: attention_nodes.py CHECKOUT OUT PACK
OUT/found.json gets, by kind of model, what the test asks about.
"""

import importlib.util
import json
import sys
from pathlib import Path

CHECKOUT, OUT, PACK = map(Path, sys.argv[1:])
del sys.argv[1:]
sys.path.insert(0, str(CHECKOUT))
sys.path.insert(1, str(Path(__file__).parent))

import utils.install_util  # noqa: E402, F401  ComfyUI's, before another `utils` takes the name
from comfy.cli_args import args  # noqa: E402

args.cpu, args.base_directory = True, str(OUT)

import attention_models as small  # noqa: E402
import comfy_api.latest  # noqa: E402, F401  by which the pack knows that this is ComfyUI
import nodes  # noqa: E402
import torch  # noqa: E402

spec = importlib.util.spec_from_file_location("pack", PACK / "__init__.py")
sys.modules["pack"] = module = importlib.util.module_from_spec(spec)
module.__path__ = [str(PACK)]
spec.loader.exec_module(module)
from pack.nodes.attention_probe import (  # noqa: E402
    AttentionProbe,
    AttentionReport,
    AttentionTemperature,
)

STEPS = 4


def sampled(model, kind: str, sampler: str = "euler_ancestral") -> dict:
    """The latent that ComfyUI's KSampler makes."""
    text = (small.conditioning(kind, seed) for seed in (1, 2))
    latent = {"samples": small.latent(kind)}
    asked = (model, 3, STEPS, 4.0, sampler, "normal", *text, latent, 1.0)
    return nodes.KSampler().sample(*asked)[0]


def same(one: dict, other: dict) -> bool:
    return torch.equal(one["samples"], other["samples"])


def apart(one: dict, other: dict) -> float:
    return float((one["samples"] - other["samples"]).norm() / other["samples"].norm())


def probed(model, windows: int = 2):
    return AttentionProbe.execute(model, 3, 1, 2, "none", "all", windows, 32, 0).args[0]


def heated(model, factor: float, attention: str, start: float = 0.0):
    return AttentionTemperature.execute(model, factor, attention, "all", start, 1.0).args[0]


def look(kind: str) -> dict:
    """What the probe sees, and whether it only looks."""
    model = small.model(kind)
    before, looked_at = sampled(model, kind), probed(model)
    first = sampled(looked_at, kind)
    words, rows, picture = AttentionReport.execute(looked_at, first, 0.1).args
    second = sampled(looked_at, kind, "heun")
    AttentionReport.execute(looked_at.clone(), second, 0.1)
    return {
        "same with the probe": same(first, before),
        "same in heun": same(second, sampled(model, kind, "heun")),
        "same afterwards": same(sampled(model, kind), before),
        "options of the original": model.model_options == {"transformer_options": {}},
        "tokens": {row.method: row.value for row in rows if row.metric == "tokens"},
        "windows": list(dict.fromkeys(row.image for row in rows)),
        "text": words,
        "picture": list(picture.shape),
        "report of the first run stays": AttentionReport.execute(looked_at, first, 0.1).args[1]
        == rows,
    }


def heat(kind: str, attentions: tuple[str, ...]) -> dict:
    """How far the temperature moves what is sampled."""
    model = small.model(kind)
    before = sampled(model, kind)
    found = {"factor 1": apart(sampled(heated(model, 1.0, attentions[-1]), kind), before)}
    for attention in attentions:
        found[attention] = apart(sampled(heated(model, 8.0, attention), kind), before)
    found["never"] = apart(sampled(heated(model, 8.0, attentions[-1], start=1.0), kind), before)
    return found


def divided(kind: str) -> float:
    """All temperatures raised, against a model whose projections to queries are divided."""
    direct = small.model(kind)
    for module in direct.model.diffusion_model.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            module.attn1.to_q.weight.data /= 8
            module.attn2.to_q.weight.data /= 8
    return apart(sampled(heated(small.model(kind), 8.0, "both"), kind), sampled(direct, kind))


with torch.inference_mode():
    found = {
        "probe": {kind: look(kind) for kind in ("sd15", "sdxl", "flux", "wan")},
        "temperature": {
            "sd15": heat("sd15", ("self", "cross", "both")),
            "flux": heat("flux", ("self",)),
        },
        "divided": divided("sd15"),
    }
(OUT / "found.json").write_text(json.dumps(found))
