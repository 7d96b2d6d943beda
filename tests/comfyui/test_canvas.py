"""The canvas itself, in a browser: what it makes of our workflows, and what a person sees.

Needs playwright and a Chromium (CHROMIUM names one; default: the one on the PATH). With
CANVAS_SHOTS=folder a picture of every workflow as the canvas shows it is left there.
"""

import base64
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from internal_methods.headless.command import main
from internal_methods.headless.run import descriptions, node_classes
from internal_methods.headless.workflow import is_preview, load, read

playwright = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
SHOTS = os.environ.get("CANVAS_SHOTS")
LOADED = "window.app && window.app.vueAppReady && window.app.graph && window.app.extensionManager"
MISSING = """app.graph._nodes.map(n => n.type)
  .filter(type => !(type in LiteGraph.registered_node_types))"""
# Every node's rectangle with its title bar, and the size that its content needs; a preview of a
# video asks for more than the node's width, whatever that is.
LAYOUT = """app.graph._nodes.map(n => ({
  title: n.title, box: [...n.getBounding()], size: [...n.size],
  needs: [['LoadVideo', 'InternalLoadClip'].includes(n.type) ? 0 : n.computeSize()[0],
    n.computeSize()[1]]
}))"""
DROP = """async ([data, name]) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
  await app.handleFile(new File([bytes], name, {type: 'image/png'}))
}"""
UPLOADED = "some folder/picture.png"  # not in the canvas' list, which has no subfolders
TOLERANCE = 2  # pixels of the canvas


@pytest.fixture(scope="session")
def page(server):
    """The canvas at its first start, without the gallery of templates that it opens with."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if not chromium:
        pytest.skip("there is no Chromium; CHROMIUM may name one")
    server.post("/settings", {"Comfy.TutorialCompleted": True})
    uploaded = server.base / "input" / UPLOADED
    uploaded.parent.mkdir(exist_ok=True)
    Image.linear_gradient("L").save(uploaded)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 2000, "height": 1250})
        page.goto(server.url)
        page.wait_for_function(LOADED, timeout=120_000)
        yield page
        browser.close()


@pytest.fixture
def shown(page):
    """Puts a saved graph on the canvas; gives what the canvas would send to the server."""

    def show(graph: dict) -> dict:
        page.evaluate("graph => app.loadGraphData(graph)", graph)
        page.wait_for_timeout(500)  # pictures on nodes appear a moment later
        return page.evaluate("async () => (await app.graphToPrompt()).output")

    return show


@pytest.fixture(scope="module")
def describe():
    return descriptions(node_classes())


def without_previews(prompt: dict) -> dict:
    """Without what the canvas adds for itself, to show pictures and clips on nodes."""
    kept = {}
    for id, node in prompt.items():
        inputs = {
            name: value
            for name, value in node["inputs"].items()
            if not is_preview(node["class_type"], name)
        }
        kept[id] = node | {"inputs": inputs}
    return kept


def overlap(one: list, other: list) -> bool:
    """Of two rectangles [x, y, width, height], by more than a hair."""
    return all(
        min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) > TOLERANCE
        for i in (0, 1)
    )


def photograph(page, name: str) -> None:
    if SHOTS:
        page.evaluate("app.canvas.low_quality_zoom_threshold = 0")
        page.evaluate("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        page.wait_for_timeout(600)
        page.screenshot(path=str(Path(SHOTS, f"{name}.png")))


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_the_canvas_reads_a_workflow_as_we_do(path, page, shown, describe):
    graph = json.loads(path.read_text(encoding="utf-8"))
    prompt = shown(graph)
    photograph(page, path.stem)
    assert page.evaluate(MISSING) == []
    assert without_previews(prompt) == read(graph, describe).prompt()


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_nodes_of_a_workflow_lie_apart_and_show_all_they_hold(path, page, shown):
    shown(json.loads(path.read_text(encoding="utf-8")))
    nodes = page.evaluate(LAYOUT)
    for index, node in enumerate(nodes):
        for axis, side in enumerate(("width", "height")):
            assert node["size"][axis] >= node["needs"][axis] - TOLERANCE, (
                f"{node['title']} has the {side} {node['size'][axis]}, needs {node['needs'][axis]}"
            )
        for other in nodes[index + 1 :]:
            assert not overlap(node["box"], other["box"]), f"{node['title']} on {other['title']}"


class Sketch:
    """A small graph in the format that the canvas saves."""

    def __init__(self):
        self.nodes, self.links = {}, []

    def node(self, kind, values=(), sockets=(), gives=(), mode=0, **more):
        """sockets: (name, type, (source id, slot) or None, widget?); gives: output types."""
        id = len(self.nodes) + 1
        inputs = []
        for place, (name, of, source, *widget) in enumerate(sockets):
            link = self._link(*source, id, place, of) if source else None
            entry = {"name": name, "type": of, "link": link}
            inputs.append(entry | ({"widget": {"name": name}} if widget else {}))
        outputs = [{"name": of, "type": of, "links": []} for of in gives]
        place = {"pos": [300 * (id % 6), 350 * (id // 6)], "size": [250, 250], "flags": {}}
        about = {"id": id, "type": kind, "order": id, "mode": mode, "properties": {}}
        about |= {"inputs": inputs, "outputs": outputs, "widgets_values": list(values)}
        self.nodes[id] = about | place | more
        return id

    def _link(self, source, slot, target, place, of):
        id = len(self.links) + 1
        self.links.append([id, source, slot, target, place, of])
        self.nodes[source]["outputs"][slot]["links"].append(id)
        return id

    def document(self) -> dict:
        last = {"last_node_id": len(self.nodes), "last_link_id": len(self.links)}
        return last | {
            "nodes": list(self.nodes.values()),
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


MUTED, BYPASSED = 2, 4


def awkward() -> dict:
    """Everything that stands between a link and what it means: reroutes, primitives, muted and
    bypassed nodes, notes, values hidden behind links."""
    sketch = Sketch()
    node = sketch.node
    picture = node("LoadImage", [UPLOADED, "image"], gives=["IMAGE", "MASK"], title="Image")
    bend = node("Reroute", [], [("", "*", (picture, 0))], ["IMAGE"])
    bend = node("Reroute", [], [("", "*", (bend, 0))], ["IMAGE"])
    turned = node("ImageInvert", [], [("image", "IMAGE", (bend, 0))], ["IMAGE"], BYPASSED)
    width = node("PrimitiveNode", [96, "fixed"], gives=["INT"])
    sketch.nodes[width]["outputs"][0]["widget"] = {"name": "width"}
    inputs = [("image", "IMAGE", (turned, 0)), ("width", "INT", (width, 0), True)]
    scaled = node("ImageScale", ["area", 512, 64, "center"], inputs, ["IMAGE"])
    both = [("image1", "IMAGE", (scaled, 0)), ("image2", "IMAGE", (picture, 0))]
    batch = node("ImageBatch", [], both, ["IMAGE"], BYPASSED)
    node("SaveImage", ["folder/name"], [("images", "IMAGE", (batch, 0))], title="Result")
    node("PreviewImage", [], [("images", "IMAGE", (scaled, 0))], mode=MUTED)
    mask = node("LoadImageMask", [UPLOADED, "green", "image"], gives=["MASK"], title="Mask")
    grown = node("GrowMask", [3, True], [("mask", "MASK", (mask, 0))], ["MASK"], BYPASSED)
    node("InvertMask", [], [("mask", "MASK", (grown, 0))], ["MASK"])
    gone = node("InvertMask", [], [("mask", "MASK", (mask, 0))], ["MASK"], MUTED)
    node("GrowMask", [-2, False], [("mask", "MASK", (gone, 0))], ["MASK"], title="Orphan")
    loader = node("LoadImageMask", [UPLOADED, "red", "image"], gives=["MASK"], mode=BYPASSED)
    node("MaskToImage", [], [("mask", "MASK", (loader, 0))], ["IMAGE"], title="Nothing to pass on")
    many = node("RepeatImageBatch", [4], [("image", "IMAGE", (scaled, 0))], ["IMAGE"])
    node("PreviewImage", [], [("images", "IMAGE", (many, 0))])
    node("Note", ["Words"])
    node("MarkdownNote", ["# Words"])
    return sketch.document()


def test_the_canvas_reads_an_awkward_graph_as_we_do(page, shown, describe):
    graph = awkward()
    prompt = shown(graph)
    photograph(page, "awkward")
    assert without_previews(prompt) == read(graph, describe).prompt()
    for format in ("serialize", "asSerialisable"):  # 0.4, which it writes to files, and 1
        saved = json.loads(page.evaluate(f"JSON.stringify(app.graph.{format}())"))
        assert saved["version"] == (0.4 if format == "serialize" else 1)
        assert read(saved, describe).prompt() == read(graph, describe).prompt()


def test_running_from_the_canvas_and_dropping_the_result_gives_the_graph_back(server, page, shown):
    sent = shown(kept := saving())
    with page.expect_response("**/prompt") as answer:
        page.evaluate("() => { app.queuePrompt(0) }")
    file = server.finished(answer.value.json()["prompt_id"])["outputs"]["2"]["images"][0]
    again = dropped(page, server.get("/view", **file), file["filename"])
    assert len(again) == len(kept["nodes"])
    assert without_previews(again) == without_previews(sent)


def test_dropping_a_picture_of_the_command_line_gives_the_graph_back(
    page, describe, capsys, tmp_path
):
    path = ROOT / "workflows" / "remove_object.json"
    assert main(["run", str(path), "--output-dir", str(tmp_path)]) == 0
    picture = Path(capsys.readouterr().out.splitlines()[-1])
    again = dropped(page, picture.read_bytes(), picture.name)
    assert without_previews(again) == read(load(path), describe).prompt()


def dropped(page, data: bytes, name: str) -> dict:
    """What the canvas would run after a picture was dropped on its empty sheet."""
    page.evaluate("app.graph.clear()")
    page.evaluate(DROP, [base64.b64encode(data).decode(), name])
    return page.evaluate("async () => (await app.graphToPrompt()).output")


def saving() -> dict:
    sketch = Sketch()
    values = [UPLOADED, "rgb", "image"]
    picture = sketch.node("InternalLoadImage", values, gives=["IMAGE", "MASK"], title="Image")
    inputs = [("images", "IMAGE", (picture, 0))]
    sketch.node("InternalSaveImage", ["kept", "png"], inputs, title="Result")
    return sketch.document()


def test_the_info_button_shows_our_help_page(page, shown):
    shown(saving())
    page.evaluate("app.canvas.selectNode(app.graph.getNodeById(2))")
    page.get_by_test_id("info-button").click()
    text = page.locator(".node-help-content .markdown-content").inner_text()
    photograph(page, "help")
    expected = (ROOT / "web" / "docs" / "InternalSaveImage.md").read_text(encoding="utf-8")
    assert expected.splitlines()[0].strip("# ") in text
