"""What a user waits for at first: imports, and first calls with and without a kernel cache.

python benchmarks/start.py
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import report

CODE = """
import json, sys, time
begin = time.perf_counter()
import torch
torch_done = time.perf_counter()
import pack
from internal_methods.methods import generate, inpaint, patchmatch
imported = time.perf_counter()
image = torch.rand(1, 3, 96, 96)
mask = torch.zeros(1, 1, 96, 96)
mask[..., 40:56, 40:56] = 1
calls = {
    "patchmatch": lambda: patchmatch(image, image.flip(3)),
    "inpaint": lambda: inpaint(image, mask),
    "generate": lambda: generate(image, scales=3),
}
first = time.perf_counter()
calls[sys.argv[1]]()
second = time.perf_counter()
calls[sys.argv[1]]()
end = time.perf_counter()
print(json.dumps({"import_torch_s": torch_done - begin, "import_pack_s": imported - torch_done,
                  "first_call_s": second - first, "second_call_s": end - second}))
"""


def main() -> None:
    results = {}
    for name in ("patchmatch", "inpaint", "generate"):
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache}
            for state in ("empty kernel cache", "later process"):
                done = subprocess.run(
                    [sys.executable, "-c", CODE, name],
                    cwd=Path(__file__).parent,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                results[f"{name}, {state}"] = json.loads(done.stdout)
    report("start", results)


if __name__ == "__main__":
    main()
