"""Runs ComfyUI's own nodes, for test_core_nodes.py to compare its stand-ins with.

Started in ComfyUI's interpreter: core_nodes.py CHECKOUT OUT CASES ARRAYS INPUTS
CASES: JSON, case -> {"node", "inputs"}, where "@name" stands for an array of the .npz file ARRAYS;
a case with "then", likewise node and inputs, hands the result on to a second node as its `video`.
INPUTS: ComfyUI's input folder. Results go to OUT/results.npz (case/output index, or refused/case
with the message), saved pictures and videos to OUT/output.
"""

import json
import sys
from pathlib import Path

CHECKOUT, OUT, CASES, ARRAYS, INPUTS = map(Path, sys.argv[1:])
del sys.argv[1:]
sys.path.insert(0, str(CHECKOUT))

import utils.install_util  # noqa: E402, F401  ComfyUI's, before another `utils` takes the name
from comfy.cli_args import args  # noqa: E402

args.cpu, args.base_directory = True, str(OUT)

import folder_paths  # noqa: E402
import nodes  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from comfy_extras import nodes_images, nodes_mask, nodes_video  # noqa: E402

for folder in ("output", "temp"):
    (OUT / folder).mkdir(exist_ok=True)
folder_paths.set_input_directory(str(INPUTS))
classes = nodes.NODE_CLASS_MAPPINGS | nodes_mask.NODE_CLASS_MAPPINGS
classes |= nodes_images.NODE_CLASS_MAPPINGS
for name in ("LoadVideo", "GetVideoComponents", "CreateVideo", "SaveVideo"):
    classes[name] = getattr(nodes_video, name)
arrays = {f"@{name}": torch.from_numpy(array) for name, array in np.load(ARRAYS).items()}


def run(asked: dict, **more) -> tuple:
    node = classes[asked["node"]]
    if hasattr(node, "PREPARE_CLASS_CLONE"):  # of the newer kind: it asks for what is hidden
        node = node.PREPARE_CLASS_CLONE({})
    returned = getattr(node(), node.FUNCTION)(**values(asked["inputs"]), **more)
    returned = getattr(returned, "args", returned)  # of the newer kind of node
    return returned if isinstance(returned, tuple) else ()


def values(inputs: dict) -> dict:
    """Arrays for their names; a sound is made of the array and its rate."""
    found = {
        name: arrays[value] if isinstance(value, str) and value.startswith("@") else value
        for name, value in inputs.items()
    }
    if "audio" in found:
        found["audio"] = {"waveform": found["audio"], "sample_rate": 16000}
    return found


def plain(value) -> dict:
    """A result as arrays: an image or a mask, a sound, a number, or nothing."""
    if isinstance(value, dict):
        return {f"/{part}": np.asarray(value[part]) for part in ("waveform", "sample_rate")}
    return {"": np.array(str(value)) if value is None else np.asarray(value)}


results = {}
for case, asked in json.loads(CASES.read_text(encoding="utf-8")).items():
    try:
        returned = run(asked)
        if "then" in asked:
            returned = run(asked["then"], video=returned[0])
    except Exception as error:
        results[f"refused/{case}"] = np.array(str(error))
        continue
    for index, value in enumerate(returned):
        results |= {f"{case}/{index}{part}": array for part, array in plain(value).items()}
np.savez(OUT / "results.npz", **results)
