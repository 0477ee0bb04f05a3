"""The gap of a rate between groups: exact rates and their interval, and the verdict against a maximum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from detectors.fairness.metric import counted
from detectors.performance.rate import weighted
from detectors.sketches.confusion import Confusion, Tally
from detectors.types import Outcome, Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from detectors.fairness.metric import GroupRate
    from detectors.performance.rate import Rate
    from detectors.types import Window

    Fraction = tuple[Tally, Tally]
    """Hits, and all that count: what a rate is the quotient of."""

MOST_JUDGED = 50
"""Groups of a column (or of an intersection) that are compared: the largest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """What a window says of the groups of one column."""

    judged: dict[str, dict[GroupRate, Fraction]]
    """Groups with enough labelled pairs."""
    small: dict[str, dict[GroupRate, Fraction]]
    """Groups with too few for some rate."""
    left_out: dict[str, str]
    """Groups that are not judged, and why."""
    n: int
    """Labelled pairs of the judged groups."""

    def fractions(self, rate: GroupRate) -> list[Fraction]:
        """Of each judged group, in their order."""
        return [of[rate] for of in self.judged.values()]


def fractions_of(confusion: Confusion, rates: Iterable[GroupRate], *, by: str, positive: str) -> dict[str, dict[GroupRate, Fraction]]:
    """Of each group of a column."""
    cells = [cell for cell in confusion.cells if cell.column == by]
    names, group = np.unique(np.array([cell.group for cell in cells], dtype=object), return_inverse=True)
    label, predicted = (np.array([getattr(cell, part) for cell in cells], dtype=object) for part in ("label", "predicted"))
    tallies = np.array([confusion.tally(cell) for cell in cells]).reshape(-1, 3)  # (cells, 3): n, w, w2

    def tally(rows: NDArray[np.bool_]) -> list[Tally]:
        sums = np.zeros((len(names), 3))
        np.add.at(sums, group[rows], tallies[rows])
        return [Tally(int(n), w, w2) for n, w, w2 in sums.tolist()]

    found = {rate: [tally(rows) for rows in counted(rate, label, predicted, positive)] for rate in rates}
    return {name: {rate: (hits[i], of[i]) for rate, (hits, of) in found.items()} for i, name in enumerate(names.tolist())}


def check_settings(
    bound: float, alpha: float, min_n: int, *, limit: str = "maximum", remedy: str = "0.1 lets rates differ by ten points"
) -> None:
    """`ValueError` with value, rule and remedy."""
    for name, value, better in ((limit, bound, remedy), ("alpha", alpha, "0.05 gives 95 % intervals")):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must be in (0, 1), got {value}; {better}")
    if min_n < 1:
        raise ValueError(f"min_n must be at least 1, got {min_n}; below 50 a rate's interval is wider than most gaps")


def groups_of(window: Window, *, by: str, positive: str, min_n: int, rates: tuple[GroupRate, ...]) -> Groups:
    """Counts of each group: those with `min_n` pairs that count for every rate apart from the others."""
    confusion = window.confusion if isinstance(window.confusion, Confusion) else Confusion()
    sizes = confusion.sizes(by)
    largest = sorted(sizes, key=lambda group: (-sizes[group], group))[:MOST_JUDGED]
    found = fractions_of(confusion, rates, by=by, positive=positive)
    judged: dict[str, dict[GroupRate, Fraction]] = {}
    left_out = dict.fromkeys(sorted(set(sizes) - set(largest))[:MOST_JUDGED], f"only the {MOST_JUDGED} largest are judged")
    for group in sorted(largest):
        least = min(rates, key=lambda rate: found[group][rate][1].n)
        n = found[group][least][1].n
        if sizes[group] < min_n:
            left_out[group] = f"{sizes[group]} labelled pairs, {min_n} are needed"
        elif n < min_n:
            left_out[group] = f"{n} labelled pairs count for its {least.replace('_', ' ')} rate, {min_n} are needed"
        else:
            judged[group] = found[group]
    small = {group: found[group] for group in largest if group not in judged}
    return Groups(judged=judged, small=small, left_out=left_out, n=sum(sizes[group] for group in judged))


def rates_together(families: list[list[Fraction]], alpha: float) -> list[list[Rate]]:
    """Clopper & Pearson's interval of each rate at alpha / (number of rates): all hold together with at least 1 - alpha (Bonferroni)."""
    share = alpha / sum(len(family) for family in families)
    return [[weighted(hits, of, share) for hits, of in family] for family in families]


def gap_interval(families: list[list[Fraction]], alpha: float) -> tuple[float, float]:
    """Interval for the largest gap, over families of rates ((hits, of) of each group), of max - min within the family.

    Every difference of two rates is between the differences of the ends of their intervals, which hold together.
    """
    return between([[(rate.low, rate.high) for rate in rates] for rates in rates_together(families, alpha)])


def between(families: list[list[tuple[float, float]]]) -> tuple[float, float]:
    """Interval for the largest difference within a family, of intervals (low, high) that hold together."""
    low = high = 0.0
    for ends in families:
        for a, b in permutations(ends, 2):
            low, high = max(low, a[0] - b[1]), max(high, a[1] - b[0])
    return low, high


def gap_verdict(
    *,
    detector: str,
    subject: str,
    judged_n: int,
    n: int,
    left_out: Mapping[str, str],
    figure: tuple[float, float, float] | None,
    parts: dict[str, str],
    maximum: float | None = None,
    minimum: float = 0.0,
    lacks: str = "no group has a favourable answer",
) -> Verdict:
    """Alarm when even the lower end is above `maximum` (of a ratio: the upper end below `minimum`); `figure` None = nothing to compare.

    `judged_n` groups with n labelled pairs; `left_out`: other groups, and why; `lacks`: what is missing where there are two groups.
    """
    limit, side = (minimum, "below the minimum") if maximum is None else (maximum, "above the maximum")
    others = "".join(f"; not judged: {group!r} ({why})" for group, why in sorted(left_out.items()))
    if figure is None:
        value, low, high = 0.0, 0.0, 1.0
        few = f"{judged_n} groups can be judged, two are needed"
        because = f"{subject}: {few if judged_n < 2 else lacks}{others}"  # noqa: PLR2004 (two)
        outcome = Outcome.INSUFFICIENT
    else:
        value, low, high = figure
        outcome = Outcome.ALARM if (high < minimum if maximum is None else low > maximum) else Outcome.OK
        claim = "and all" if outcome is Outcome.ALARM else "not all"
        rates = ", ".join(f"{group!r} {text}" for group, text in parts.items())
        because = f"{subject} is {value:.3g}, between {low:.3g} and {high:.3g}, {claim} of it is {side} of {limit:g} ({rates}){others}"
    is_ratio = maximum is None
    return Verdict(
        detector=detector,
        subject=subject,
        outcome=outcome,
        evidence=Score(distance=1.0 - value, limit=1.0 - limit) if is_ratio else Score(distance=value, limit=limit),
        value=value,
        low=low,
        high=high,
        n=n,
        because=because,
        limit=limit,
    )
