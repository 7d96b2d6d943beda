"""Memory of patch attention: the most that a call holds beyond its inputs.

    python benchmarks/attention_memory.py [--sides 64 128 256 512] [--dense 64 128]

Some 3 minutes. Patch 7, 16 channels, "l2", one picture, as in table IV.1 of the thesis, whose
figures (GB, GPU, forward) are printed beside. Every figure is from a process of its own: after one
call on a small picture, which compiles the kernels, the kernel's peak of resident memory is set
back, and what it shows after the call, less what was resident before, is reported. Freed memory
goes back to the system at once there (MALLOC_MMAP_THRESHOLD_), so none is used unseen. The output
and the field are counted, the inputs are not. GB = 10^9 bytes.

Dense attention is measured on unrolled patches: scaled_dot_product_attention, and the matrix
written out, both as far as --dense.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from measure import report

from internal_methods.methods import patch_attention

PATCH, CHANNELS = 7, 16
THESIS = {
    "PSAL 3": {64: 0.01, 128: 0.01, 256: 0.04, 512: 0.18},
    "PSAL Aggreg.": {64: 0.05, 128: 0.19, 256: 0.74, 512: 2.95},
    "Full": {64: 0.30, 128: 4.98, 256: 15.26, 512: 250.04},
}


def sparse(neighbours: int, aggregate: bool):
    def attend(q, k, v):
        settings = dict(patch_size=PATCH, neighbours=neighbours, aggregate=aggregate)
        return patch_attention(q, k, v, **settings)

    return attend


def unrolled(image: torch.Tensor) -> torch.Tensor:
    """(1, tokens, C p p) patches, those at the border completed by reflection."""
    padded = torch.nn.functional.pad(image, [PATCH // 2] * 4, mode="reflect")
    return torch.nn.functional.unfold(padded, PATCH).transpose(1, 2)


def fused(q, k, v):
    """-|a - b|^2 as an inner product, less what the softmax does not see."""
    a, b = unrolled(q), unrolled(k)
    a = torch.cat((2 * a, torch.ones_like(a[..., :1])), 2)
    b = torch.cat((b, -b.square().sum(2, keepdim=True)), 2)
    values = v.flatten(2).transpose(1, 2)
    return torch.nn.functional.scaled_dot_product_attention(a, b, values, scale=1.0), None


def written_out(q, k, v):
    logits = -torch.cdist(unrolled(q), unrolled(k)).square()
    return logits.softmax(2) @ v.flatten(2).transpose(1, 2), None


VARIANTS = {
    "PSAL 3": sparse(3, False),
    "PSAL Aggreg.": sparse(1, True),
    "PSAL 3 + aggregation": sparse(3, True),
    "fused dense": fused,
    "dense": written_out,
}
DENSE = ("fused dense", "dense")


def resident(what: str) -> int:
    """VmRSS (now) or VmHWM (the most so far) of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status shows no {what}")


def measured(variant: str, side: int, backward: bool) -> int:
    """Bytes beyond the inputs."""
    attend = VARIANTS[variant]

    def work(side: int) -> int:
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.rand(1, CHANNELS, side, side, generator=generator) for _ in range(3)]
        for tensor in inputs:
            tensor.requires_grad_(backward)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        output, _field = attend(*inputs)
        if backward:
            output.square().sum().backward()
        return resident("VmHWM") - before

    torch.set_num_threads(1)
    work(2 * PATCH)
    work(56)  # enough patches for all kernels of the search
    return work(side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--dense", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--only", nargs=3, help="variant, side, 1 with backward: print bytes")
    options = parser.parse_args()
    if options.only:
        variant, side, backward = options.only
        print(measured(variant, int(side), backward == "1"))
        return
    table = {}
    for variant in VARIANTS:
        for side in options.dense if variant in DENSE else options.sides:
            row = table.setdefault(variant, {}).setdefault(str(side), {})
            for name, backward in (("forward_gb", "0"), ("forward_backward_gb", "1")):
                command = [sys.executable, __file__, "--only", variant, str(side), backward]
                environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
                done = subprocess.run(
                    command, capture_output=True, text=True, check=True, env=environment
                )
                row[name] = round(int(done.stdout) / 1e9, 4)
    thesis = {name: {str(side): gb for side, gb in row.items()} for name, row in THESIS.items()}
    report("attention_memory", {"beyond_inputs": table, "thesis_forward_gb": thesis})


if __name__ == "__main__":
    main()
