"""`--set NODE.INPUT=VALUE`: a value put into a workflow before it is read."""

import json
from typing import Any

from .errors import UserError
from .workflow import sockets, title_of, widget_names


def apply(document: dict, assignments: list[str], describe: dict[str, dict]) -> None:
    """Put every assignment into the loaded file, so that what is saved with a picture is what ran.

    Raises UserError for an unknown or ambiguous node, an unknown input, or a value of a wrong type.
    """
    for assignment in assignments:
        target, found, text = assignment.partition("=")
        name, dot, socket = target.rpartition(".")
        if not (found and dot and name and socket):
            raise UserError(f"--set {assignment}: expected NODE.INPUT=VALUE, as in Settings.seed=7")
        if "nodes" in document and isinstance(document["nodes"], list):
            _set_on_canvas(document, name, socket, text, describe)
        else:
            _set_in_prompt(document, name, socket, text, describe)


def _set_in_prompt(document, name, socket, text, describe):
    titles = {
        id: entry.get("_meta", {}).get("title") or entry["class_type"]
        for id, entry in document.items()
    }
    entry = document[_find(titles, name)]
    info = _info(describe, entry["class_type"], name)
    entry.setdefault("inputs", {})[socket] = parse(text, info, name, socket)


def _set_on_canvas(document, name, socket, text, describe):
    entries = {str(entry["id"]): entry for entry in document["nodes"]}
    titles = {id: title_of(e, describe.get(e["type"], {})) for id, e in entries.items()}
    entry = entries[_find(titles, name)]
    info = _info(describe, entry["type"], name)
    value = parse(text, info, name, socket)
    values = entry.get("widgets_values")
    if isinstance(values, dict):
        values[socket] = value
    else:
        names = widget_names(info)
        place = names.index(socket)
        values = list(values or [])
        defaults = [_default(info, n) for n in names[len(values) : place]]
        entry["widgets_values"] = [*values[:place], *defaults, value, *values[place + 1 :]]
    for wired in entry.get("inputs") or []:
        if wired["name"] == socket and wired.get("link") is not None:
            _cut(document, wired)


def _cut(document: dict, wired: dict) -> None:
    """Take away the link that fed an input which now has a value."""
    gone, wired["link"] = wired["link"], None
    id_of = lambda link: link["id"] if isinstance(link, dict) else link[0]  # noqa: E731
    document["links"] = [link for link in document["links"] if id_of(link) != gone]
    for entry in document["nodes"]:
        for output in entry.get("outputs") or []:
            if gone in (output.get("links") or []):
                output["links"].remove(gone)


def _find(titles: dict[str, str], name: str) -> str:
    """The id of the node with that title, else with that id."""
    found = [id for id, title in titles.items() if title == name]
    if len(found) > 1:
        raise UserError(
            f"--set {name}: {len(found)} nodes have that title (ids {', '.join(found)}); use the id"
        )
    if not found and name not in titles:
        known = ", ".join(repr(title) for title in sorted(set(titles.values())))
        raise UserError(f"--set {name}: no node has that title or id; there are {known}")
    return found[0] if found else name


def _info(describe: dict[str, dict], kind: str, name: str) -> dict:
    if kind not in describe:
        raise UserError(f"--set {name}: its class {kind!r} is not known here")
    return describe[kind]


def _default(info: dict, name: str | None) -> Any:
    if name is None:
        return "fixed"
    kind, options = sockets(info)[name]
    choices = kind if isinstance(kind, list) else options.get("options", [None])
    return options.get("default", choices[0] if choices else None)


def parse(text: str, info: dict, name: str, socket: str) -> Any:
    """`text` as the type of the input asks for it."""
    if socket not in sockets(info):
        raise UserError(f"--set {name}.{socket}: it has no such input; it has {_widgets(info)}")
    kind = sockets(info)[socket][0]
    try:
        if kind == "INT":
            return int(text)
        if kind == "FLOAT":
            return float(text)
        if kind == "BOOLEAN":
            return {"true": True, "false": False}[text.lower()]
    except (KeyError, ValueError):
        expected = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false"}[kind]
        raise UserError(f"--set {name}.{socket}={text}: expected {expected}") from None
    if kind in ("STRING", "COMBO"):
        return text
    if isinstance(kind, list):
        return text if text in kind or not kind else _listed(text, kind)
    raise UserError(
        f"--set {name}.{socket}: it takes {kind} from another node, not a value; it has "
        + _widgets(info)
    )


def _listed(text: str, choices: list) -> Any:
    """A choice that is not text, by its JSON spelling; else the text, for the check to refuse."""
    for choice in choices:
        if json.dumps(choice) == text:
            return choice
    return text


def _widgets(info: dict) -> str:
    return ", ".join(name for name in widget_names(info) if name) or "no inputs to set"
