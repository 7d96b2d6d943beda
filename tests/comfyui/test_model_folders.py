"""Where the weights of metrics are looked for, inside ComfyUI."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_weights_lie_in_models_metrics_and_where_the_user_says(in_comfyui):
    out = in_comfyui("model_folders.py", ROOT)
    first, again, with_extra = json.loads((out / "folders.json").read_text())
    assert first == again == [str(out / "models" / "metrics")]
    assert with_extra == [*first, "elsewhere"]
