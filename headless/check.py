"""Is a graph fit to run? Everything that can be known before the first node works."""

from typing import Any

from .errors import UserError
from .workflow import Graph, Link, Node, sockets


def check(graph: Graph, classes: dict[str, Any], describe: dict[str, dict]) -> None:
    """Bring every value to its input's type.

    Raises UserError naming the node, the input and what was expected.
    """
    for node in graph.nodes.values():
        if node.kind not in classes:
            raise UserError(f"{node}: the class {node.kind!r} is not known here")
        _check_inputs(node, graph, describe, _checked_by_class(classes[node.kind]))
    if not output_nodes(graph, describe):
        raise UserError("nothing in the workflow saves or shows a result; add a Save Image node")
    for node in graph.nodes.values():
        _check_by_class(node, classes[node.kind])


def output_nodes(graph: Graph, describe: dict[str, dict]) -> list[Node]:
    return [node for node in graph.nodes.values() if describe[node.kind]["output_node"]]


def _check_inputs(node: Node, graph: Graph, describe: dict[str, dict], own: list[str]) -> None:
    """own: the inputs whose choices the class itself checks, as ComfyUI leaves them to it."""
    info = describe[node.kind]
    for name in info["input"].get("required", {}):
        if name not in node.inputs:
            raise UserError(f"{node}, input {name}: nothing is linked or set, but it is required")
    declared = sockets(info)
    for name, value in list(node.inputs.items()):
        if name not in declared:
            raise UserError(f"{node}, input {name}: there is no such input")
        kind, options = declared[name]
        if isinstance(value, Link):
            _check_link(node, name, kind, value, graph, describe)
        else:
            told = {} if name in own else options
            node.inputs[name] = _value(node, name, kind, told, value)


def _check_link(node, name, kind, link: Link, graph: Graph, describe) -> None:
    source = graph.nodes.get(link.node)
    if source is None:
        raise UserError(
            f"{node}, input {name}: it is linked to node {link.node}, which is not there"
        )
    if source.kind not in describe:
        raise UserError(f"{source}: the class {source.kind!r} is not known here")
    given = describe[source.kind]["output"]
    if not 0 <= link.slot < len(given):
        raise UserError(f"{node}, input {name}: {source} has no output {link.slot}")
    kind = "COMBO" if isinstance(kind, list) else kind
    if "*" not in (kind, given[link.slot]) and given[link.slot] not in kind.split(","):
        raise UserError(
            f"{node}, input {name}: expected {kind}, but {source} gives {given[link.slot]} there"
        )


def _value(node: Node, name: str, kind: Any, options: dict, value: Any) -> Any:
    """`value` as the type `kind`, inside its limits."""
    types = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
    choices = kind if isinstance(kind, list) else options.get("options")
    if kind in types:
        try:
            value = types[kind](value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{node}, input {name}: expected {kind}, not {value!r}") from None
        low, high = options.get("min"), options.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            raise UserError(f"{node}, input {name}: {value} is not within {low} ... {high}")
    elif choices is not None and not any(options.get(upload) for upload in UPLOADS):
        if value not in choices:
            told = ", ".join(map(str, choices))
            raise UserError(f"{node}, input {name}: {value!r} is not one of {told}")
    elif kind not in ("COMBO",) and not isinstance(kind, list):
        raise UserError(f"{node}, input {name}: expected a link that gives {kind}, not {value!r}")
    return value


UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload")


def _check_by_class(node: Node, node_class: Any) -> None:
    """What the node's own `validate_inputs` says of the values it asks for."""
    names = _checked_by_class(node_class)
    values = {name: node.inputs[name] for name in names if name in node.inputs}
    if not names or len(values) < len(names) or any(isinstance(v, Link) for v in values.values()):
        return
    verdict = node_class.validate_inputs(**values)
    if verdict is not True:
        raise UserError(f"{node}, input {', '.join(names)}: {verdict}")


def _checked_by_class(node_class: Any) -> list[str]:
    """The inputs that the class's `validate_inputs` asks for."""
    own = getattr(node_class, "validate_inputs", None)
    return [] if own is None else list(own.__code__.co_varnames[1 : own.__code__.co_argcount])
