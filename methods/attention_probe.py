"""Looks at a model's attention while the model runs, and tells afterwards what was seen."""

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .attention_measures import measure
from .attention_report import Reading, as_picture, as_rows, as_text, blocks_of
from .checks import by
from .metrics.scores import Score

KEPT = 16  # runs that a probe remembers


@dataclass
class ProbeRun:
    """What was seen in one run of a sampler. Holds numbers and words, no activations.

    windows: equal parts of the way from noise to picture. readings: by block and window. refused:
    what was not measured, and why. notes: what to keep in mind about the numbers.
    """

    windows: int
    settings: dict
    readings: list[Reading] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def text(self, tolerance: float) -> str:
        """In words: where patch attention is safe, where not, and why."""
        told = as_text(self._blocks(), self.windows, tolerance, self.refused)
        return "\n\n".join([f"{self._title()}.", told, *self.notes])

    def rows(self) -> list[Score]:
        """As rows of a score table: the block is the method, the window the image."""
        return as_rows(self._blocks(), self.windows)

    def picture(self, tolerance: float) -> Tensor:
        """As a heat map, (1, 3, H, W) in [0, 1]."""
        return as_picture(self._blocks(), self.windows, tolerance, self._title())

    def _blocks(self):
        return blocks_of(self.readings, self.windows)

    def _title(self) -> str:
        told = self.settings
        words = f"Patch attention, {told['neighbours']} neighbours, patch {told['patch_size']}"
        words += f", {told['iterations']} iterations"
        words += ", aggregated" if told.get("aggregate") else ""
        return words + (f", tail {told['tail']}" if told.get("tail") else "")


class AttentionProbe:
    """Measures the self-attention of a model, once in every block and window of a run.

    windows: equal parts of the run. settings: arguments of `measure`, without the tensors and the
    temperature. Whoever runs the model calls `begin`, `look` for every attention, and `end`.
    """

    def __init__(self, *, windows: int = 4, **settings):
        if windows < 1:
            raise ValueError(f"windows {windows} is less than 1; a run has at least one part")
        self.windows, self.settings = windows, settings
        self._now: ProbeRun | None = None
        self._moments: dict[int, float] = {}
        self._runs: dict[str, ProbeRun] = {}

    def begin(self) -> None:
        """A run starts."""
        self._now, self._moments = ProbeRun(self.windows, self.settings), {}

    def wants(self, window: int, moment: float) -> bool:
        """Whether to look: at the first moment (noise level) of every window of a run."""
        return self._now is not None and self._moments.setdefault(window, moment) == moment

    def look(self, block: str, window: int, q: Tensor, k: Tensor, v: Tensor, temperature: float):
        """Measure a call of self-attention, (B * heads, C, *size); see `measure`."""
        if self._now is None:
            return
        try:
            seen = measure(q, k, v, temperature=temperature, **self.settings)
        except (ValueError, torch.OutOfMemoryError) as error:  # looking never ends a run
            self.refuse(block, str(error))
        else:
            self._now.readings.append(Reading(block, window, seen))

    def refuse(self, block: str, why: str) -> None:
        """Note that a block was not measured."""
        if self._now is not None:
            self._now.refused.setdefault(block, why)

    def note(self, what: str) -> None:
        """Note something about the numbers, once."""
        if self._now is not None and what not in self._now.notes:
            self._now.notes.append(what)

    def end(self, result: Tensor) -> None:
        """The run has given this result, by which it is found again."""
        if self._now is None:
            return
        key = _fingerprint(result)
        self._runs.pop(key, None)
        self._runs[key], self._now = self._now, None
        for old in list(self._runs)[:-KEPT]:
            del self._runs[old]

    def run_of(self, result: Tensor) -> ProbeRun:
        """The run that gave this result; where that is not known, the latest.

        Raises ValueError if there was no run.
        """
        if not self._runs:
            raise ValueError(
                "nothing was measured: no sampler has run the model that comes out of the probe; "
                "link that model to the sampler, and the sampler's latent to the report"
            )
        return self._runs.get(_fingerprint(result)) or list(self._runs.values())[-1]


def _fingerprint(values: Tensor) -> str:
    plain = values.detach().float().cpu().contiguous()
    return by(plain.shape) + hashlib.sha256(plain.numpy().tobytes()).hexdigest()
