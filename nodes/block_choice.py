"""Which attentions of a model a node is for, as its user writes them."""

import re
from collections.abc import Callable, Sequence

from .model_attention import Block

PARTS = ("input", "middle", "output")
ALL = "all"
FORM = (
    "write all; or for a UNet its parts and numbers, as in: input 1,2; middle; output 9-11; or for "
    "other models numbers alone, as in: 0-7, 12"
)


def chosen(text: str, known: Sequence[Block] | None) -> Callable[[Block], bool]:
    """Tells of a block whether `text` names it. known: the blocks of a UNet; None for other models.

    Raises ValueError, saying what there is, for text that cannot be read or names nothing there.
    """
    if text.strip().lower() in ("", ALL):
        return lambda block: True
    wanted = _places(text)
    parts = {part for part, _ in wanted}
    if known is None:
        if parts != {"block"}:
            raise ValueError(
                f"blocks {text!r}: this model is no UNet and has no input, middle or output; "
                "number its attentions in the order in which they are called, as in: 0-7, 12"
            )
    else:
        _check_known(text, wanted, known)
    return lambda block: (block.part, block.number) in wanted


def _places(text: str) -> set[tuple[str, int]]:
    """The parts and numbers that are named; ("block", n) for numbers alone."""
    places: set[tuple[str, int]] = set()
    part, bare = "block", False  # bare: a part that no number has followed
    words = re.findall(r"[a-z]+|\d+(?:\s*-\s*\d+)?|[^\s,;]", text.lower())
    for word in [*words, ""]:
        if word[:1].isdigit():
            first, _, last = word.partition("-")
            low, high = int(first), int(last or first)
            if low > high:
                raise ValueError(f"blocks {text!r}: {word} runs backwards; {FORM}")
            places |= {(part, number) for number in range(low, min(high, 9999) + 1)}
            bare = False
        else:
            if bare and part != "middle":
                raise ValueError(f"blocks {text!r}: {part} has no number; {FORM}")
            if word in PARTS:
                part, bare = word, True
                places |= {("middle", 0)} if word == "middle" else set()
            elif word:
                raise ValueError(f"blocks {text!r}: {word!r} is not understood; {FORM}")
    return places


def _check_known(text: str, wanted: set[tuple[str, int]], known: Sequence[Block]) -> None:
    there = {(block.part, block.number) for block in known}
    missing = sorted(wanted - there)
    if missing:
        part, number = missing[0]
        name = f"number {number}" if part == "block" else f"{part} {number}"
        raise ValueError(
            f"blocks {text!r}: this UNet has no attention at {name}; it has some at {told(known)}"
        )


def told(known: Sequence[Block]) -> str:
    """The blocks of a UNet in the form that is read: input 1,2; middle; output 3,4."""
    parts = []
    for part in PARTS:
        numbers = sorted({block.number for block in known if block.part == part})
        if numbers:
            listed = ",".join(map(str, numbers))
            parts.append(part if part == "middle" else f"{part} {listed}")
    return "; ".join(parts)
