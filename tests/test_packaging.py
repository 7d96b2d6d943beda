"""What pip, ComfyUI's manager and the registry read."""

from pathlib import Path

import pytest

import internal_methods

tomllib = pytest.importorskip("tomllib")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_version_is_told_once():
    assert PROJECT["project"]["version"] == internal_methods.__version__


def test_all_packages_are_packed():
    folders = [
        path.parent.relative_to(ROOT)
        for top in ("backends", "headless", "methods", "nodes", "storage")
        for path in (ROOT / top).rglob("__init__.py")
    ]
    expected = ["internal_methods", *(".".join(["internal_methods", *f.parts]) for f in folders)]
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(expected)


def test_comfyui_s_manager_installs_what_pip_would_but_no_torch():
    assert lines("requirements.txt") == PROJECT["project"]["dependencies"]
    assert not [line for line in lines("requirements.txt") if "torch" in line or "<" in line]


def test_constraints_pin_everything_that_the_extras_name():
    pins = {line.split("==")[0].lower() for line in lines("constraints.txt")}
    assert all("==" in line for line in lines("constraints.txt"))
    extras = PROJECT["project"]["optional-dependencies"]
    named = [*PROJECT["project"]["dependencies"], *extras["standalone"], *extras["test"]]
    wanted = {name.split(";")[0].strip().lower() for name in named if "[" not in name}
    assert wanted <= pins


def test_the_registry_s_rules():
    assert "comfyui" not in PROJECT["project"]["name"].lower()
    assert PROJECT["tool"]["comfy"]["PublisherId"]
    assert PROJECT["tool"]["comfy"]["requires-comfyui"] == ">=0.3.64"
    assert PROJECT["project"]["urls"]["Repository"]


def test_the_command_exists():
    module, _, function = PROJECT["project"]["scripts"]["internal-methods"].partition(":")
    assert module == "internal_methods.headless.command"
    from internal_methods.headless import command

    assert callable(getattr(command, function))
