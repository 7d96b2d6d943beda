"""Compiles every Triton kernel for an NVIDIA GPU that need not be there. Run with
TRITON_INTERPRET=0; prints one line for each kernel and set of constants."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import conftest  # noqa: E402, F401  loads the pack
import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from internal_methods.backends.cuda import local_percentile, vote  # noqa: E402
from internal_methods.backends.cuda import nearest_patch_kernels as search  # noqa: E402
from internal_methods.backends.cuda.device import CHUNK, TILE  # noqa: E402

TARGET = GPUTarget("cuda", 80, 32)
INTEGERS = ("queries", "pixels", "ranks", "matches", "new_matches")
FLOATS = (
    "costs",
    "new_costs",
    "target",
    "source",
    "bias",
    "values",
    "distances",
    "scale",
    "result",
)
POINTERS = {
    **dict.fromkeys(INTEGERS, "*i32"),
    **dict.fromkeys(FLOATS, "*fp32"),
    "usable": "*i1",
    "floor": "fp32",
}
NO_WRAP = {f"{name}_{axis}": False for name in ("WRAP", "SOURCE_WRAP") for axis in "TYX"}
WRAP = dict.fromkeys(NO_WRAP, True)
IMAGE, CLIP = dict(AXES=2, DEPTH=1, PATCH=7), dict(AXES=3, DEPTH=5, PATCH=5)
BLOCK = TILE // CHUNK
PLAIN = dict(NO_WRAP, **IMAGE, CHANNELS=3, SIMILARITY="l2", BLOCK=BLOCK, CHUNK=CHUNK, bias=None)


def compile_kernel(kernel, **constants):
    names = kernel.arg_names
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: POINTERS.get(name, "i32") for name in names}
    kinds.update(dict.fromkeys(constants, "constexpr"))
    indexed = {(names.index(name),): value for name, value in constants.items()}
    triton.compile(ASTSource(kernel, kinds, constexprs=indexed), target=TARGET)
    sys.stdout.write(f"compiled {kernel.__name__}\n")


for kernel in (search.evaluate, search.propagate, search.draw):
    compile_kernel(kernel, **PLAIN, KEPT=1, COLUMNS=1, AROUND=1)
    several = {**PLAIN, **CLIP, **WRAP, "SIMILARITY": "cosine"}
    del several["bias"]
    compile_kernel(kernel, **several, KEPT=3, COLUMNS=4, AROUND=3)
for shape in (IMAGE, CLIP):
    for best in (False, True):
        compile_kernel(
            vote._vote, **WRAP, **shape, SCALES=not best, BEST=best, BLOCK=TILE // 4, CHUNK=4
        )
    compile_kernel(
        local_percentile._local_percentile, **WRAP, **shape, BLOCK=TILE // 128, WINDOW=128
    )
