"""Workflow files, in the format that the canvas saves (0.4 and 1) or in the API format.

Both become a `Graph`. The canvas leaves out what its widgets are called, so that the nodes'
descriptions (as `/object_info` gives them) are needed to read it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import UserError

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
COMMENTS = {"Note", "MarkdownNote"}
MUTED, BYPASSED = 2, 4
# What the canvas adds to a prompt for itself, to show pictures and clips on nodes.
PREVIEWS = {"$$canvas-image-preview", "$$comfy_animation_preview", "video-preview"}


def is_preview(kind: str, name: str) -> bool:
    """Is an input of a prompt something that the canvas put there for itself?"""
    return name in PREVIEWS or (kind == "PreviewAny" and name != "source")


@dataclass(frozen=True)
class Link:
    """The output that an input is wired to."""

    node: str
    slot: int


@dataclass
class Node:
    id: str
    kind: str  # the class, as in /object_info
    title: str
    inputs: dict[str, Any] = field(default_factory=dict)  # values, or Links

    def __str__(self) -> str:
        return f"node {self.title!r} ({self.kind}, id {self.id})"


@dataclass
class Graph:
    """What runs: the nodes by id, in the file's order, and the canvas file, if it was one."""

    nodes: dict[str, Node]
    canvas: dict | None = None

    def prompt(self) -> dict:
        """The API format, as ComfyUI writes it into a picture."""
        return {
            node.id: {
                "inputs": {
                    name: [value.node, value.slot] if isinstance(value, Link) else value
                    for name, value in node.inputs.items()
                },
                "class_type": node.kind,
                "_meta": {"title": node.title},
            }
            for node in self.nodes.values()
        }


def load(path: Path) -> dict:
    """The JSON object in `path`. Raises UserError naming the file and where its JSON breaks."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no workflow {path}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UserError(
            f"{path} is no complete JSON file ({error.msg} at {where}); save the workflow again"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file, so no workflow") from error
    if not isinstance(document, dict) or not (_is_canvas(document) or _is_prompt(document)):
        raise UserError(
            f"{path} is no workflow: neither the canvas format (with 'nodes' and 'links') nor the "
            "API format (node id -> 'class_type' and 'inputs')"
        )
    return document


def read(document: dict, describe: Mapping[str, dict]) -> Graph:
    """The graph of a loaded file. describe: node class -> its description as in /object_info."""
    try:
        if not _is_canvas(document):
            return Graph({id: _prompt_node(id, entry) for id, entry in document.items()})
        return _Canvas(document, describe).graph()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the workflow is damaged ({type(error).__name__}: {error}); open it in ComfyUI and "
            "save it again"
        ) from error


def widget_names(info: dict) -> list[str | None]:
    """What each place of a canvas node's `widgets_values` stands for, None for a widget without an
    input of its own (what a seed does after each run).
    """
    names: list[str | None] = []
    for name, (kind, options) in sockets(info).items():
        is_widget = isinstance(kind, list) or kind in WIDGETS
        if is_widget and not options.get("forceInput"):
            names.append(name)
            numbered_seed = kind == "INT" and name in ("seed", "noise_seed")
            if options.get("control_after_generate") or numbered_seed:
                names.append(None)
    return names


def sockets(info: dict) -> dict[str, tuple[Any, dict]]:
    """Input name -> (type, options) of a node's description, required ones first."""
    declared = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    return {name: (d[0], d[1] if len(d) > 1 else {}) for name, d in declared.items()}


def _is_canvas(document: dict) -> bool:
    return isinstance(document.get("nodes"), list) and isinstance(document.get("links"), list)


def _is_prompt(document: dict) -> bool:
    return bool(document) and all(
        isinstance(entry, dict) and "class_type" in entry for entry in document.values()
    )


def _prompt_node(id: str, entry: dict) -> Node:
    inputs = {}
    for name, value in entry.get("inputs", {}).items():
        if is_preview(entry["class_type"], name):
            continue
        if isinstance(value, list):
            if len(value) != 2 or not isinstance(value[1], int):
                raise UserError(
                    f"node {id}, input {name}: {value} is no link [node id, output index]"
                )
            value = Link(str(value[0]), value[1])
        elif isinstance(value, dict) and "__value__" in value:
            value = value["__value__"]
        inputs[name] = value
    title = entry.get("_meta", {}).get("title") or entry["class_type"]
    return Node(id, entry["class_type"], title, inputs)


class _Canvas:
    """A canvas file, being turned into a graph."""

    def __init__(self, document: dict, describe: Mapping[str, dict]):
        self.document, self.describe = document, describe
        self.entries = {str(entry["id"]): entry for entry in document["nodes"]}
        self.links = {link["id"]: link for link in map(_link, document["links"])}
        self.subgraphs = {
            part["id"] for part in document.get("definitions", {}).get("subgraphs", [])
        }

    def graph(self) -> Graph:
        return Graph({node.id: node for node in self._nodes()}, self.document)

    def _nodes(self) -> Iterator[Node]:
        for id, entry in self.entries.items():
            if self._runs(entry):
                info = self._info(entry)
                node = Node(id, entry["type"], title_of(entry, info))
                node.inputs = self._values(entry, info) | self._wires(entry)
                order = list(sockets(info))
                node.inputs = {name: node.inputs[name] for name in order if name in node.inputs}
                yield node

    def _runs(self, entry: dict) -> bool:
        helper = entry["type"] in COMMENTS or entry["type"] in ("Reroute", "PrimitiveNode")
        return not helper and entry.get("mode", 0) not in (MUTED, BYPASSED)

    def _info(self, entry: dict) -> dict:
        kind, title = entry["type"], entry.get("title") or entry["type"]
        if kind in self.subgraphs or kind.startswith(("workflow/", "workflow>")):
            raise UserError(
                f"node {title!r} (id {entry['id']}) is a subgraph, which cannot be run here; "
                "unpack it in ComfyUI (right click, Unpack Subgraph) or save the workflow with "
                "File, Export (API)"
            )
        if kind not in self.describe:
            raise UserError(
                f"node {title!r} (id {entry['id']}) is of the class {kind!r}, which is not known "
                "here; `internal-methods nodes` lists ours, and of ComfyUI's own there are "
                + ", ".join(sorted(k for k in self.describe if not k.startswith("Internal")))
            )
        return self.describe[kind]

    def _values(self, entry: dict, info: dict) -> dict:
        values = entry.get("widgets_values") or []
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if name in sockets(info)}
        named = zip(widget_names(info), values, strict=False)  # the canvas may add a button's value
        return {name: value for name, value in named if name is not None}

    def _wires(self, entry: dict) -> dict:
        wires = {}
        for socket in entry.get("inputs") or []:
            if socket.get("link") is not None:
                value = self._source(socket["link"], entry, socket["name"])
                if value is not None:
                    wires[socket["name"]] = value
        return wires

    def _source(self, link_id: int, entry: dict, name: str, passed: frozenset = frozenset()):
        """What feeds a link: a Link to a node that runs, a primitive's value, or None (muted)."""
        link = self.links.get(link_id)
        if link is None or link["from"] not in self.entries:
            title = entry.get("title") or entry["type"]
            raise UserError(
                f"node {title!r} (id {entry['id']}), input {name}: its link {link_id} leads "
                "nowhere; the file is damaged"
            )
        if link_id in passed:
            raise UserError(f"link {link_id} goes round in a circle")
        source = self.entries[link["from"]]
        if source["type"] == "PrimitiveNode":
            return source["widgets_values"][0]
        if source["type"] == "Reroute":
            onward = source["inputs"][0].get("link")
        elif source.get("mode", 0) == BYPASSED:
            onward = _through(source, link)
        elif source.get("mode", 0) == MUTED:
            return None
        else:
            return Link(link["from"], link["slot"])
        if onward is None:
            return None
        return self._source(onward, entry, name, passed | {link_id})


def _through(source: dict, link: dict) -> int | None:
    """The link that a bypassed node passes on: of the same type, at the same place if it can."""
    inputs = source.get("inputs") or []
    same_place = inputs[link["slot"] : link["slot"] + 1]
    for socket in (*same_place, *inputs):
        if socket.get("type") == link["type"]:
            return socket.get("link")
    return None


def _link(link: list | dict) -> dict:
    """One link, written as a list (0.4) or as an object (1)."""
    if isinstance(link, dict):
        id, node, slot, kind = (link[k] for k in ("id", "origin_id", "origin_slot", "type"))
    else:
        id, node, slot, _, _, kind = link
    return {"id": id, "from": str(node), "slot": slot, "type": kind}


def title_of(entry: dict, info: dict) -> str:
    return entry.get("title") or info.get("display_name") or entry["type"]
