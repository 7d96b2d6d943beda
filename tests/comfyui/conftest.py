"""A real ComfyUI with the pack in it.

COMFYUI_DIR names a checkout; COMFYUI_PYTHON the interpreter that has its requirements (default: the
`venv` in or beside the checkout, else the one that runs the tests). Without COMFYUI_DIR everything
here is skipped. The checkout is only read: models, inputs and outputs lie in a temporary folder.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "internal-methods"  # what the pack's folder is called in custom_nodes
START = 180  # seconds for a server to come up on a busy machine
SCRIPT = 360  # and for a script to end


@pytest.fixture(scope="session")
def checkout() -> Path:
    named = os.environ.get("COMFYUI_DIR")
    if not named:
        pytest.skip("COMFYUI_DIR names no ComfyUI checkout")
    if not (Path(named) / "main.py").is_file():
        pytest.skip(f"COMFYUI_DIR: there is no main.py in {named}")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def interpreter(checkout) -> str:
    if named := os.environ.get("COMFYUI_PYTHON"):
        return named
    program = Path("Scripts/python.exe") if os.name == "nt" else Path("bin/python")
    near = [folder / "venv" / program for folder in (checkout, checkout.parent)]
    return next((str(path) for path in near if path.is_file()), sys.executable)


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """ComfyUI's base directory, with the pack among the custom nodes."""
    folder = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "input", "output", "temp", "user", "models"):
        (folder / name).mkdir()
    place = folder / "custom_nodes" / FOLDER
    try:
        place.symlink_to(ROOT, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        unwanted = shutil.ignore_patterns(".*", "__pycache__", "output", "venv")
        shutil.copytree(ROOT, place, ignore=unwanted)
    return folder


@pytest.fixture(scope="session")
def in_comfyui(checkout, interpreter, tmp_path_factory):
    """Runs a script of this folder inside ComfyUI's interpreter; gives the folder it wrote to."""

    def run(script: str, *arguments: object) -> Path:
        out = tmp_path_factory.mktemp(Path(script).stem)
        command = [interpreter, str(Path(__file__).with_name(script)), str(checkout), str(out)]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=out,
            timeout=SCRIPT,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return out

    return run


class Server:
    """One running ComfyUI, spoken to as its canvas does."""

    def __init__(self, url: str, base: Path):
        self.url, self.base = url, base

    def get(self, path: str, **query: str) -> bytes:
        address = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.read()

    def json(self, path: str):
        return json.loads(self.get(path))

    def post(self, path: str, body: dict) -> dict:
        """The answer; a refusal (400) is an answer too."""
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), head)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            text = refusal.read()
        return json.loads(text or "{}")

    def queue(self, prompt: dict, workflow: dict | None = None) -> str:
        """Queue a graph in the API format; gives its id."""
        extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
        answer = self.post("/prompt", {"prompt": prompt, "extra_data": extra})
        assert "prompt_id" in answer, json.dumps(answer, indent=1)
        assert not answer["node_errors"], json.dumps(answer["node_errors"], indent=1)
        return answer["prompt_id"]

    def finished(self, job: str, seconds: float = 300) -> dict:
        """What the history says of a job, once it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if job in (history := self.json(f"/history/{job}")):
                return history[job]
            time.sleep(0.1)
        raise AssertionError(f"{job} did not end within {seconds} s")

    def run(self, prompt: dict, workflow: dict | None = None) -> dict:
        return self.finished(self.queue(prompt, workflow))

    @staticmethod
    def told(history: dict) -> dict:
        """What the server told its clients about a job: name of the event -> its data."""
        return dict(history["status"]["messages"])


@pytest.fixture(scope="session")
def server(checkout, interpreter, base):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [interpreter, str(checkout / "main.py"), "--cpu", "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    command += ["--disable-api-nodes", "--dont-print-server"]
    log = base / "server.log"
    with log.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, cwd=base)
    server = Server(f"http://127.0.0.1:{port}", base)
    try:
        _wait_for(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(server: Server, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            server.get("/system_stats")
            return
        except OSError:
            time.sleep(0.3)
    told = log.read_text(errors="replace")[-4000:]
    raise AssertionError(f"ComfyUI did not come up within {START} s:\n{told}")
