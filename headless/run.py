"""Running a workflow without ComfyUI: every node that an output needs, once, in order."""

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage.files import why_not_writable
from . import host
from .check import check, output_nodes
from .errors import RunError, UserError
from .workflow import Graph, Link, Node, load, read

log = logging.getLogger(__name__)

# What a node raises to say what is wrong with its inputs; anything else is a defect of ours and is
# shown with its traceback.
SPOKEN = (ValueError, NotImplementedError, OSError, ImportError, MemoryError)


@dataclass
class Report:
    """What ran: `outputs` and `nodes` as the command line prints them."""

    outputs: list[dict] = field(default_factory=list)
    nodes: list[dict] = field(default_factory=list)

    def result_files(self) -> list[str]:
        """The files of the node titled Result, else of the first output that has any."""
        ordered = sorted(self.outputs, key=lambda output: output["node"] != "Result")
        return next((output["files"] for output in ordered if output.get("files")), [])


def node_classes() -> dict[str, Any]:
    """All node classes by id: ours and the stand-ins for ComfyUI's."""
    from ..nodes import NODES
    from . import core, core_models, core_video

    known = (*core.NODES, *core_video.NODES, *core_models.NODES, *NODES)
    return {node.GET_SCHEMA().node_id: node for node in known}


def descriptions(classes: dict[str, Any]) -> dict[str, dict]:
    return {id: node.GET_NODE_INFO_V1() for id, node in classes.items()}


def run_file(path: Path, settings: list[str], where: host.Host) -> Report:
    """Run the workflow in `path`.

    settings: NODE.INPUT=VALUE. where: folders and device. Raises UserError before any node has
    worked, RunError when one fails.
    """
    from . import settings as assignments

    document = load(path)
    with host.hosting(where):
        classes = node_classes()
        describe = descriptions(classes)
        try:
            assignments.apply(document, settings, describe)
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{path}: the workflow is damaged ({error})") from error
        graph = read(document, describe)
        check(graph, classes, describe)
        reason = why_not_writable(where.output)
        if reason:
            raise RunError(f"the output folder {where.output} cannot be written: {reason}")
        return _Run(graph, classes, describe).all()


class _Run:
    """One run of a graph. A node's results are let go as soon as nothing needs them any more."""

    def __init__(self, graph: Graph, classes: dict[str, Any], describe: dict[str, dict]):
        self.graph, self.classes = graph, classes
        self.outputs = output_nodes(graph, describe)
        self.order = self._order()
        self.needed = Counter(link.node for node in self.order for link in _links(node))
        self.results: dict[str, tuple] = {}
        self.report = Report()

    def all(self) -> Report:
        import torch

        with torch.inference_mode():
            for node in self.order:
                self._one(node)
        self.report.outputs.sort(key=lambda output: output["type"] == "temp")
        return self.report

    def _order(self) -> list[Node]:
        """The outputs and all that they need, each after what it needs."""
        done: dict[str, Node] = {}
        waiting = [(node, False) for node in reversed(self.outputs)]
        open_ids: set[str] = set()
        while waiting:
            node, ready = waiting.pop()
            if node.id in done:
                continue
            if ready:
                open_ids.discard(node.id)
                done[node.id] = node
                continue
            if node.id in open_ids:
                raise UserError(f"{node} needs its own result; take one of its links away")
            open_ids.add(node.id)
            waiting.append((node, True))
            before = [self.graph.nodes[link.node] for link in _links(node)]
            waiting.extend((other, False) for other in reversed(before) if other.id not in done)
        return list(done.values())

    def _one(self, node: Node) -> None:
        started = time.perf_counter()
        inputs = {name: self._given(value) for name, value in node.inputs.items()}
        extra = {"workflow": self.graph.canvas} if self.graph.canvas else {}
        hidden = {"UNIQUE_ID": node.id, "PROMPT": self.graph.prompt(), "EXTRA_PNGINFO": extra}
        node_class = self.classes[node.kind].PREPARE_CLASS_CLONE(hidden)
        try:
            output = node_class.EXECUTE_NORMALIZED(**inputs)
        except SPOKEN as error:
            raise _failure(node, error) from error
        except Exception as error:
            log.exception("%s failed", node)
            raise RunError(f"{node}: {type(error).__name__}: {error}") from error
        self.results[node.id] = tuple(output.args)
        for link in _links(node):
            self.needed[link.node] -= 1
            if not self.needed[link.node]:
                self.results.pop(link.node, None)
        seconds = round(time.perf_counter() - started, 4)
        about = {"title": node.title, "id": node.id, "class": node.kind}
        self.report.nodes.append(about | {"seconds": seconds})
        if output.ui is not None:
            self._collect(node, output.ui)

    def _given(self, value: Any) -> Any:
        return self.results[value.node][value.slot] if isinstance(value, Link) else value

    def _collect(self, node: Node, ui: Any) -> None:
        shown = ui.as_dict() if hasattr(ui, "as_dict") else ui
        about = {"node": node.title, "id": node.id, "class": node.kind}
        if shown.get("images"):
            kind = shown["images"][0]["type"]
            files = [
                str(host.folder_of(kind) / file["subfolder"] / file["filename"])
                for file in shown["images"]
            ]
            self.report.outputs.append(about | {"type": kind, "files": files})
        if shown.get("text"):
            self.report.outputs.append(about | {"type": "text", "text": "\n".join(shown["text"])})
        if "scores" in shown:
            self.report.outputs.append(about | {"type": "scores", "scores": shown["scores"]})


def _links(node: Node) -> list[Link]:
    return [value for value in node.inputs.values() if isinstance(value, Link)]


def _failure(node: Node, error: Exception) -> Exception:
    from ..storage.pictures import PictureError

    if isinstance(error, (PictureError, FileNotFoundError)):
        return UserError(f"{node}: {error}")
    if isinstance(error, MemoryError):
        return RunError(f"{node}: the memory is full; {error}")
    return RunError(f"{node}: {error}")
