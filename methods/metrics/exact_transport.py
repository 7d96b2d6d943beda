"""Optimal transport between two small sets of points of equal masses, solved exactly.

Shortest augmenting paths with potentials (Jonker and Volgenant 1987, "A shortest augmenting path
algorithm for dense and sparse linear assignment problems"), for sets of unequal size as well: a row
is shared out in as many units as it takes. Plain numpy, so it runs wherever the pack does.
"""

from collections.abc import Callable

import numpy as np

TIE = 1e-9  # of the mean cost


def transport(
    costs: np.ndarray, poll: Callable[[], None] | None = None
) -> tuple[float, np.ndarray]:
    """The least mean cost of carrying N rows, of mass 1/N each, to M columns of mass 1/M each.

    costs: (N, M) finite float64. A problem of 2048 by 2048 takes some seconds.
    poll: called now and then; may raise to interrupt.
    Returns that cost and the columns' discounts (M,) that prove it: no plan costs less than
    mean_i min_j (costs_ij - discounts_j) + mean_j discounts_j, which is the same number.
    """
    plan = _Plan(costs)
    for row in np.flatnonzero(plan.supply):
        while plan.supply[row]:
            plan.augment(int(row))
            if poll is not None:
                poll()
    least = (costs - plan.discounts).min(axis=1)
    return float(least.mean() + plan.discounts.mean()), plan.discounts


class _Plan:
    """A plan whose flows run along tight pairs: cost = price of the row + discount of the column.

    Masses are whole units: M / g for a row and N / g for a column, g the greatest common divisor.
    """

    def __init__(self, costs: np.ndarray):
        rows, columns = costs.shape
        common = int(np.gcd(rows, columns))
        self.costs = costs
        self.supply = np.full(rows, columns // common)  # units that are not yet on their way
        self.demand = np.full(columns, rows // common)
        self.into: list[dict[int, int]] = [{} for _ in range(columns)]  # row: units, per column
        self.prices = costs.min(axis=1)
        self.discounts = (costs - self.prices[:, None]).min(axis=0)
        reduced = costs - self.discounts
        self.prices = reduced.min(axis=1)
        self._start(reduced)

    def _start(self, reduced: np.ndarray) -> None:
        """Carry what can go to a column that is nearest, or as good as that: flat pictures have
        nothing but ties."""
        slack = TIE * np.abs(self.costs).mean()
        for row, price in enumerate(self.prices):
            for column in np.flatnonzero((reduced[row] <= price + slack) & (self.demand > 0)):
                units = min(self.supply[row], self.demand[column])
                if units:
                    self._carry(row, int(column), units)
                    self.supply[row] -= units
                    self.demand[column] -= units

    def augment(self, start: int) -> None:
        """Send units from a row to the column with demand that is nearest through the flows."""
        distance = self.costs[start] - self.discounts - self.prices[start]
        near = distance.copy()  # inf once a column is done with
        to_do = np.ones(len(distance), bool)
        before = np.full(len(distance), start)  # the row that a column is reached from
        reached, came_from = {start: 0.0}, {start: -1}
        while True:
            column = int(near.argmin())
            length = near[column]
            if self.demand[column]:
                break
            to_do[column], near[column] = False, np.inf
            for row in self.into[column]:
                if row in reached:
                    continue
                reached[row], came_from[row] = length, column
                through = self.costs[row] - self.discounts
                through += length - self.prices[row]
                better = through < near
                better &= to_do
                np.copyto(near, through, where=better)
                np.copyto(before, row, where=better)
                np.copyto(distance, through, where=better)
        rows = np.fromiter(reached, int, len(reached))
        self.prices[rows] += length - np.fromiter(reached.values(), float, len(reached))
        done = ~to_do
        self.discounts[done] -= length - distance[done]
        self._send(start, column, before, came_from)

    def _send(self, start: int, end: int, before: np.ndarray, came_from: dict[int, int]) -> None:
        """As many units as fit along the path that was found, from its end to its start."""
        forward, backward, column = [], [], end
        while True:
            row = int(before[column])
            forward.append((row, column))
            column = came_from[row]
            if column < 0:
                break
            backward.append((row, column))
        units = min(self.supply[start], self.demand[end])
        units = min([units, *(self.into[column][row] for row, column in backward)])
        for row, column in forward:
            self._carry(row, column, units)
        for row, column in backward:
            self._carry(row, column, -units)
        self.supply[start] -= units
        self.demand[end] -= units

    def _carry(self, row: int, column: int, units: int) -> None:
        flows = self.into[column]
        flows[row] = flows.get(row, 0) + units
        if not flows[row]:
            del flows[row]
