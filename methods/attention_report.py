"""What an attention probe saw, told: in words, as rows of a table and as a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .attention_measures import Measures, mean_of
from .heat_map import Panel, against, heat_map, share
from .metrics.scores import Score

# measure -> (its name in the table, which direction is better)
ROWS = {
    "tokens": ("tokens", ""),
    "entropy": ("entropy", ""),
    "effective_keys": ("effective_keys", ""),
    "top_mass": ("top_mass", ""),
    "found_mass": ("found_mass", ""),
    "error": ("error", ""),
    "error_tail": ("error_tail", ""),
    "error_top": ("error_exact_search", ""),
    "coherence": ("coherence", ""),
    "coherence_top": ("coherence_exact_search", ""),
    "reached": ("keys_reached", ""),
    "dense_seconds": ("dense_seconds", ""),
    "patch_seconds": ("patch_seconds", ""),
    "tail_seconds": ("patch_seconds_tail", ""),
    "speedup": ("times_faster", ""),
    "speedup_tail": ("times_faster_tail", ""),
}
NOTES = {
    "error": "relative error of the output against dense attention, on a sample of queries",
    "error_exact_search": "the same of the exact best keys: what no better search can improve",
    "top_mass": "share of the weight on the exact best keys; found_mass: on the keys found",
    "coherence": "share of shifts that neighbouring queries have in common",
    "keys_reached": "share of keys that any query found, those that would get a gradient",
}


@dataclass(frozen=True)
class Reading:
    """The measures of a block in a window of the run."""

    block: str
    window: int
    measures: Measures


@dataclass(frozen=True)
class Block:
    """A block over all windows: one entry for each, None where it was not measured."""

    name: str
    windows: list[Measures | None]

    @property
    def seen(self) -> list[Measures]:
        return [each for each in self.windows if each is not None]

    @property
    def mean(self) -> Measures:
        return mean_of(self.seen)

    def safe(self, tolerance: float, measure: str) -> list[int]:
        """The windows in which an error is within the tolerance."""
        known = enumerate(self.windows)
        return [i for i, each in known if each and getattr(each, measure) <= tolerance]


def blocks_of(readings: Sequence[Reading], windows: int) -> list[Block]:
    """The readings by block, in the order in which they came; several of a window are averaged."""
    blocks = []
    for name in dict.fromkeys(reading.block for reading in readings):
        columns = [
            [each.measures for each in readings if (each.block, each.window) == (name, window)]
            for window in range(windows)
        ]
        blocks.append(Block(name, [mean_of(column) if column else None for column in columns]))
    return blocks


def window_names(windows: int) -> list[str]:
    """0-25 %, 25-50 %, ..."""
    edges = [f"{100 * edge / windows:.0f}" for edge in range(windows + 1)]
    return [f"{low}-{high} %" for low, high in zip(edges, edges[1:], strict=False)]


def as_rows(blocks: Sequence[Block], windows: int) -> list[Score]:
    """A row for every block (the method), window (the image) and measure."""
    names = window_names(windows)
    return [
        Score(block.name, names[window], name, "all", value, better, note=NOTES.get(name, ""))
        for measure, (name, better) in ROWS.items()
        for block in blocks
        for window, each in enumerate(block.windows)
        if each is not None and not math.isnan(value := getattr(each, measure))
    ]


def as_text(
    blocks: Sequence[Block], windows: int, tolerance: float, refused: dict[str, str]
) -> str:
    """Where patch attention may stand for dense attention, where not, and why.

    refused: what was not measured, and the reason.
    """
    if not blocks:
        return "\n".join(["No attention was measured.", *_refusals(refused)])
    told = [_verdict(block, windows, tolerance) for block in blocks]
    neighbours = max(int(block.mean.neighbours) for block in blocks)
    safe = [block for block, (good, _) in zip(blocks, told, strict=True) if good]
    lines = [
        f"Patch attention with {neighbours} neighbours stays within {_percent(tolerance)} of dense "
        f"attention, in the whole run, at {len(safe)} of {len(blocks)} blocks.",
    ]
    if safe:
        lines.append(f"Safe: {', '.join(block.name for block in safe)}.")
        fast = [block.name for block in safe if _safe_speed(block, tolerance) > 1]
        lines.append(
            f"Safe and faster than dense attention here: {', '.join(fast) or 'none of them'}."
        )
        if setting := _as_setting(blocks, safe):
            lines.append(f"To patch the safe ones alone, set blocks to: {setting}")
    lines += [
        "",
        *(f"{block.name}: {words}" for block, (_, words) in zip(blocks, told, strict=True)),
    ]
    return "\n".join([*lines, *_refusals(refused)])


def _as_setting(blocks: Sequence[Block], safe: Sequence[Block]) -> str:
    """Blocks as they are chosen in a node, `input 1,2; middle` or `0,3`; those of which all
    attentions are safe."""
    unsafe = {block.name.partition(".")[0] for block in blocks if block not in safe}
    numbers: dict[str, list[str]] = {}
    for name in dict.fromkeys(block.name.partition(".")[0] for block in safe):
        if name not in unsafe:
            part, _, number = name.partition(" ")
            numbers.setdefault("" if part == "block" else part, []).append(number)
    return "; ".join(f"{part} {','.join(each)}".strip() for part, each in numbers.items())


def _refusals(refused: dict[str, str]) -> list[str]:
    return (
        ["", *(f"{name}: not measured, {why}" for name, why in refused.items())] if refused else []
    )


def _verdict(block: Block, windows: int, tolerance: float) -> tuple[bool, str]:
    """Whether a block is safe throughout, and the sentence about it."""
    mean = block.mean
    bare, tailed = (block.safe(tolerance, name) for name in ("error", "error_tail"))
    what = f"{mean.tokens:.0f} tokens, {mean.effective_keys:.0f} effective keys; "
    if len(bare) == len(block.seen):
        return True, what + f"safe, error at most {_worst(block, 'error')}. {_speed(mean.speedup)}"
    if len(tailed) == len(block.seen):
        words = f"safe with the tail, error at most {_worst(block, 'error_tail')}"
        return (
            True,
            what + f"{words} ({_worst(block, 'error')} without it). {_speed(mean.speedup_tail)}",
        )
    part, how = (bare, "") if len(bare) >= len(tailed) else (tailed, " with the tail")
    if part:
        names = ", ".join(window_names(windows)[window] for window in part)
        head = f"safe{how} only at {names} of the run"
    else:
        head = "not safe"
    return False, what + f"{head}, error up to {_both(block)}: {_why(block, tolerance)}."


def _why(block: Block, tolerance: float) -> str:
    """The reason of the error, from the window where it is largest."""
    worst = max(block.seen, key=lambda each: each.error)
    count = f"the best {worst.neighbours:.0f} keys"
    if worst.error_top <= tolerance:
        return (
            f"the search is to blame, not the attention. {count.capitalize()} would do (error "
            f"{_percent(worst.error_top)}), but those found hold {_percent(worst.found_mass)} of "
            f"the weight instead of {_percent(worst.top_mass)}; use more iterations"
        )
    return (
        f"the attention is flat. About {worst.effective_keys:.0f} of {worst.keys:.0f} keys share "
        f"the weight (entropy {worst.entropy:.1f} of at most {math.log(worst.keys):.1f}), and "
        f"{count} hold {_percent(worst.top_mass)} of it"
    )


def _safe_speed(block: Block, tolerance: float) -> float:
    """Times faster than dense attention, in the way in which a safe block is safe."""
    bare = len(block.safe(tolerance, "error")) == len(block.seen)
    return block.mean.speedup if bare else block.mean.speedup_tail


def _speed(times: float) -> str:
    if times >= 1:
        return f"{_short(times)} times faster than dense attention."
    return f"Not worth it: {_short(1 / times)} times slower than dense attention."


def _both(block: Block) -> str:
    if all(math.isnan(each.error_tail) for each in block.seen):
        return _worst(block, "error")
    return f"{_worst(block, 'error')}, {_worst(block, 'error_tail')} with the tail"


def _worst(block: Block, measure: str) -> str:
    values = [getattr(each, measure) for each in block.seen]
    return _percent(max(value for value in values if not math.isnan(value)))


def _percent(value: float) -> str:
    if value < 5e-5:
        return "0 %"
    return f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:.0f} %"


def as_picture(blocks: Sequence[Block], windows: int, tolerance: float, title: str = "") -> Tensor:
    """(1, 3, H, W): what was measured, blocks by windows of the run.

    Errors and times are blue on the good side of the tolerance (of equal time) and orange on the
    other; shares are white for none to blue for all.
    """
    panels = _panels(blocks, tolerance)
    names = [f"{block.name} ({block.mean.tokens:.0f})" for block in blocks]
    foot = "Block (tokens) by part of the run. Measured on a sample of queries of every head."
    return heat_map(panels, names, window_names(windows), title, foot)


def _panels(blocks: Sequence[Block], tolerance: float) -> list[Panel]:
    def values(measure: str) -> list[list[float]]:
        return [
            [math.nan if each is None else getattr(each, measure) for each in block.windows]
            for block in blocks
        ]

    def spread(block: Block, value: float) -> float:
        return math.log(max(1.0, value)) / math.log(max(2.0, block.mean.keys))

    limit, count = against(tolerance), max((int(b.mean.neighbours) for b in blocks), default=0)
    faster = against(1, high_is_good=True)
    within = f"white: the tolerance, {_percent(tolerance)}"
    flat = [
        [spread(block, value) for value in row]
        for block, row in zip(blocks, values("effective_keys"), strict=True)
    ]
    panels = [
        Panel("error", values("error"), limit, _percent, within),
        Panel("error with the tail", values("error_tail"), limit, _percent, within),
        Panel("error of an exact search", values("error_top"), limit, _percent, within),
        Panel("times faster than dense", values("speedup"), faster, _short),
        Panel("the same with the tail", values("speedup_tail"), faster, _short),
        Panel(f"weight on the best {count} keys", values("top_mass"), share, _percent),
        Panel("flatness", flat, share, _percent, "log(effective keys) / log(keys)"),
        Panel("coherence of shifts", values("coherence"), share, _percent),
        Panel("keys reached", values("reached"), share, _percent, "those that get a gradient"),
    ]
    return [
        panel for panel in panels if not all(math.isnan(v) for row in panel.values for v in row)
    ]


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 99.5 else f"{value:.0f}"
