"""What a method costs: time, energy, CO2 and memory, the training and the single fill apart.

Energy is a stated power times a measured time, as in Cherel 2024, V.3.4 (after Lacoste et al. 2019,
arXiv:1910.09700); nothing here reads a power meter.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import torch

# Watts of a device at work: a desktop processor's rated power, the V100 of the thesis (also for
# any other accelerator), a laptop's Apple GPU. Give your own where you know it.
POWER = {"cpu": 65.0, "cuda": 250.0, "mps": 30.0}
INTENSITY = 56.9  # gCO2eq for a kWh: France 2021 (ADEME, Base Empreinte), as in the thesis
STATED = "power and intensity are stated, not measured"


@dataclass(frozen=True)
class Cost:
    """One piece of work. seconds: measured, wall clock. device: cpu, cuda, mps ...

    watts: stated power, default that of POWER. intensity: stated gCO2eq/kWh. memory: the most bytes
    that were held: on a GPU by torch, else by the whole process; None where not known.
    Raises ValueError for negative numbers.
    """

    seconds: float
    device: str = "cpu"
    watts: float | None = None
    intensity: float = INTENSITY
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.watts is None:
            object.__setattr__(self, "watts", POWER.get(self.device, POWER["cuda"]))
        for name in ("seconds", "watts", "intensity"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}, has to be 0 or more")

    @property
    def watt_hours(self) -> float:
        return (self.watts or 0.0) * self.seconds / 3600

    @property
    def grams(self) -> float:
        """Of CO2 equivalent."""
        return self.watt_hours / 1000 * self.intensity

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `Cost(**...)` of its first five reads it back."""
        return asdict(self) | {"watt_hours": self.watt_hours, "gCO2eq": self.grams}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Cost":
        names = ("seconds", "device", "watts", "intensity", "memory")
        return cls(**{name: values[name] for name in names})

    def words(self) -> str:
        parts = [
            f"{_time(self.seconds)} on {self.device}",
            f"{_energy(self.watt_hours)} at {self.watts:g} W",
            f"{self.grams:.3g} gCO2eq at {self.intensity:g} g/kWh",
        ]
        parts += [] if self.memory is None else [f"peak memory {_bytes(self.memory)}"]
        return ", ".join(parts)


class Meter:
    """Measures what happens inside a block: `with Meter(device) as meter`, then `meter.cost`.

    On a GPU, torch's peak of memory begins anew with the block.
    """

    def __init__(
        self,
        device: "torch.device | str",
        watts: float | None = None,
        intensity: float = INTENSITY,
    ):
        self.device = torch.device(device)
        self._stated = {"watts": watts, "intensity": intensity}
        self.cost = Cost(0.0, self.device.type, **self._stated)

    def __enter__(self) -> "Meter":
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - self._start
        memory = peak_memory(self.device)
        self.cost = Cost(seconds, self.device.type, memory=memory, **self._stated)


def peak_memory(device: "torch.device | str") -> int | None:
    """The most bytes held: by torch on a GPU, else by this process; None if the system hides it."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class MethodCost:
    """A method: what one fill costs, and the training that comes before the first, if any."""

    name: str
    fill: Cost
    training: Cost | None = None

    def total(self, fills: int, quantity: str = "watt_hours") -> float:
        """Of so many fills. quantity: watt_hours, grams or seconds."""
        once = getattr(self.training, quantity) if self.training else 0.0
        return once + fills * getattr(self.fill, quantity)


def overtakes(method: MethodCost, other: MethodCost, quantity: str = "watt_hours") -> int | None:
    """The number of fills from which on `method` costs less than `other` in all; None for never.

    quantity: watt_hours, grams or seconds.
    """
    ahead = method.total(0, quantity) - other.total(0, quantity)
    gain = getattr(other.fill, quantity) - getattr(method.fill, quantity)
    if gain < 0 or (gain == 0 and ahead >= 0):
        return None
    return 1 if ahead < 0 else max(1, int(ahead // gain) + 1)


def cost_rows(methods: Sequence[MethodCost]) -> list[dict[str, Any]]:
    """For JSON: a dict for every method, with the numbers of fills at which it overtakes others."""
    rows = []
    for method in methods:
        training = method.training.as_dict() if method.training else None
        row = {"method": method.name, "training": training, "fill": method.fill.as_dict()}
        row["overtakes"] = {
            other.name: {by: overtakes(method, other, by) for by in ("watt_hours", "seconds")}
            for other in methods
            if other is not method
        }
        rows.append(row)
    return rows


HEAD = (
    "method",
    "training",
    "energy",
    "gCO2eq",
    "memory",
    "one fill",
    "energy",
    "gCO2eq",
    "memory",
)


def cost_table(methods: Sequence[MethodCost]) -> str:
    """Markdown: a row for every method, then from how many fills on which one costs less energy."""
    rows = [HEAD, ("---",) * len(HEAD)]
    for method in methods:
        rows.append((method.name, *_cells(method.training), *_cells(method.fill)))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    for one, other in permutations(methods, 2):
        fills = overtakes(one, other)
        if fills is not None and (fills > 1 or overtakes(other, one) is None):
            when = f"from {fills} fills on" if fills > 1 else "from the first fill on"
            lines.append(f"\n{one.name} costs less energy than {other.name} {when}.")
    stated = {(c.device, c.watts, c.intensity) for m in methods for c in (m.training, m.fill) if c}
    told = "; ".join(f"{device} {watts:g} W, {g:g} g/kWh" for device, watts, g in sorted(stated))
    return "\n".join([*lines, f"\n{STATED[0].upper()}{STATED[1:]}: {told}."])


def _cells(cost: Cost | None) -> tuple[str, str, str, str]:
    if cost is None:
        return "-", "-", "-", "-"
    memory = "-" if cost.memory is None else _bytes(cost.memory)
    return (
        f"{_time(cost.seconds)} {cost.device}",
        _energy(cost.watt_hours),
        f"{cost.grams:.3g}",
        memory,
    )


def _time(seconds: float) -> str:
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.3g} min" if seconds >= 120 else f"{seconds:.3g} s"


def _energy(watt_hours: float) -> str:
    return f"{watt_hours / 1000:.3g} kWh" if watt_hours >= 1000 else f"{watt_hours:.3g} Wh"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
