"""Asks the pack, inside ComfyUI, where the weights of metrics, trained models and checkpoints lie.

Started in ComfyUI's interpreter: model_folders.py CHECKOUT OUT PACK
OUT/folders.json gets the folders: as ComfyUI starts, and with one more in its extra paths.
"""

import importlib.util
import json
import sys
from pathlib import Path

CHECKOUT, OUT, PACK = map(Path, sys.argv[1:])
del sys.argv[1:]
sys.path.insert(0, str(CHECKOUT))

import utils.install_util  # noqa: E402, F401  ComfyUI's, before another `utils` takes the name
from comfy.cli_args import args  # noqa: E402

args.cpu, args.base_directory = True, str(OUT)

import folder_paths  # noqa: E402

spec = importlib.util.spec_from_file_location("host", PACK / "nodes" / "comfyui.py")
host = importlib.util.module_from_spec(spec)
spec.loader.exec_module(host)
told = {}
for kind, folders in (("metrics", host.metrics_folders), ("internal", host.trained_model_folders)):
    told[kind] = [list(map(str, folders())) for _ in range(2)]
    folder_paths.add_model_folder_path(kind, "elsewhere")
    told[kind].append(list(map(str, folders())))
told["checkpoints"] = str(host.checkpoint_folder())
(OUT / "folders.json").write_text(json.dumps(told))
