"""Imports go one way, and importing the pack costs nothing and needs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# folder -> the folders of ours that it may import from.
ALLOWED = {
    "backends": set(),
    "methods": {"backends"},
    "storage": {"methods"},  # the types that it reads and writes
    "nodes": {"methods", "backends", "storage", "headless"},
    "headless": {"nodes", "backends", "storage"},
}
# The stand-ins for what ComfyUI gives are leaves, and all that nodes take from headless.
LEAVES = {"headless/api.py", "headless/host.py"}
HEADLESS_FOR_NODES = {"host", "api"}
STORED = {("field",), ("metrics", "weights"), ("diffusion", "model")}
ONLY_IN_NODES = {"comfy", "comfy_api", "folder_paths", "comfy_execution"}
PARTS = ["numba", "triton", "cv2", "av", "PIL", "safetensors", "einops", "scipy"]


def imports(path: Path):
    """(absolute module or None, path inside the pack or None) of every import in a file."""
    here = path.relative_to(ROOT).parts[:-1]
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            yield from ((alias.name, None) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if not statement.level:
                yield statement.module, None
                continue
            base = here[: len(here) - statement.level + 1]
            inner = (*base, *(statement.module or "").split("."))
            inner = tuple(part for part in inner if part)
            for alias in statement.names:
                yield None, (*inner, alias.name)


def files() -> list[Path]:
    return [path for folder in ALLOWED for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    folder = path.relative_to(ROOT).parts[0]
    for module, inner in imports(path):
        if module is not None:
            top = module.split(".")[0]
            assert top != "internal_methods", "our own imports are relative"
            assert folder == "nodes" or top not in ONLY_IN_NODES, module
        elif inner and (ROOT / inner[0]).is_dir() and inner[0] != folder:
            assert inner[0] in ALLOWED[folder], ".".join(inner)
            if folder == "nodes" and inner[0] == "headless":
                assert inner[1] in HEADLESS_FOR_NODES, ".".join(inner)
            if folder == "storage" and inner[0] == "methods":
                assert STORED & {inner[1:2], inner[1:3]}, ".".join(inner)


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_the_stand_ins_import_nothing_of_ours(name):
    assert not [inner for _, inner in imports(ROOT / name) if inner]


def run(code: str) -> str:
    load = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('internal_methods', {str(ROOT)!r} + "
        "'/__init__.py')\n"
        "pack = importlib.util.module_from_spec(spec)\n"
        "sys.modules['internal_methods'] = pack\n"
    )
    done = subprocess.run([sys.executable, "-c", load + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_listing_the_nodes_imports_nothing_heavy():
    loaded = run(
        "spec.loader.exec_module(pack)\n"
        "from internal_methods.nodes import NODES\n"
        "[node.GET_NODE_INFO_V1() for node in NODES]\n"
        f"print([name for name in {['torch', 'numpy', *PARTS]} if name in sys.modules])"
    )
    assert loaded == "[]"


def test_the_pack_and_its_methods_import_without_optional_parts():
    code = "".join(f"sys.modules[{name!r}] = None\n" for name in PARTS)
    code += "spec.loader.exec_module(pack)\n"
    code += "import internal_methods.methods, internal_methods.nodes\n"
    code += "import internal_methods.headless.run, internal_methods.storage.clips\n"
    code += "import internal_methods.nodes.convert, internal_methods.headless.command\n"
    code += "print('imported')"
    assert run(code) == "imported"


def test_a_method_runs_without_numba():
    """Then the plain torch backend takes over."""
    code = "".join(f"sys.modules[{name!r}] = None\n" for name in PARTS)
    code += "spec.loader.exec_module(pack)\n"
    code += "import torch\nfrom internal_methods.methods import generate\n"
    code += "print(*generate(torch.rand(1, 3, 24, 24), scales=1, patch_size=3, iterations=1).shape)"
    assert run(code) == "1 3 24 24"
