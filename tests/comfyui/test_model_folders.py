"""Where weights, trained models and checkpoints lie inside ComfyUI."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_models_lie_where_comfyui_keeps_them_and_where_the_user_says(in_comfyui):
    out = in_comfyui("model_folders.py", ROOT)
    told = json.loads((out / "folders.json").read_text())
    for kind in ("metrics", "internal"):
        first, again, with_extra = told[kind]
        assert first == again == [str(out / "models" / kind)]
        assert with_extra == [*first, "elsewhere"]
    assert told["checkpoints"] == str(out / "user" / "__internal_methods" / "checkpoints")
