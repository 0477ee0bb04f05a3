"""The gap of a rate between groups: exact rates and their interval, and the verdict against a maximum."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.performance.rate import Rate, binomial
from detectors.sketches.confusion import Confusion, Rates
from detectors.types import Outcome, Score, Verdict

if TYPE_CHECKING:
    from detectors.types import Window


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """What a window says of the groups of one column, one label against the rest."""

    judged: dict[str, Rates] = field(default_factory=dict)
    """Groups with enough labelled pairs."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Other groups, and why."""

    @property
    def n(self) -> int:
        """Labelled pairs of the judged groups."""
        return sum(sum(rates) for rates in self.judged.values())


def check_settings(maximum: float, alpha: float, min_n: int) -> None:
    """`ValueError` with value, rule and remedy."""
    for name, value, remedy in (("maximum", maximum, "0.1 lets rates differ by ten points"), ("alpha", alpha, "0.05 gives 95 % intervals")):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must be in (0, 1), got {value}; {remedy}")
    if min_n < 1:
        raise ValueError(f"min_n must be at least 1, got {min_n}; below 50 a rate's interval is wider than most gaps")


def groups_of(window: Window, *, by: str, positive: str, min_n: int, needs_both_labels: bool) -> Groups:
    """Counts of each group, those of `min_n` pairs or more (and with both true labels, if needed) apart from the others."""
    confusion = window.confusion if isinstance(window.confusion, Confusion) else Confusion()
    found = Groups()
    for group in confusion.groups(by):
        rates = confusion.rates(positive, by, group)
        n = sum(rates)
        if n < min_n:
            found.left_out[group] = f"{n} labelled pairs, {min_n} are needed"
        elif needs_both_labels and not (rates.tp + rates.fn and rates.fp + rates.tn):
            found.left_out[group] = "all its labelled pairs have the same label"
        else:
            found.judged[group] = rates
    return found


def cells(groups: Groups) -> dict[str, NDArray[np.int64]]:
    """The counts as weighted rows, four a group, for fairlearn: truth, answer (1 = positive), group (its number) and weight, (4 g,)."""
    rows = [
        (truth, answer, i, weight)
        for i, rates in enumerate(groups.judged.values())
        for truth, answer, weight in ((1, 1, rates.tp), (0, 1, rates.fp), (1, 0, rates.fn), (0, 0, rates.tn))
    ]
    table = np.asarray(rows, dtype=np.int64).reshape(-1, 4)
    return dict(zip(("truth", "answer", "group", "weight"), table.T, strict=True))


def gap_interval(families: list[list[tuple[int, int]]], alpha: float) -> tuple[float, float]:
    """Interval for the largest gap, over families of rates ((hits, n) of each group), of max - min within the family.

    Clopper & Pearson's interval of each rate at alpha / (number of rates): all hold together with at least 1 - alpha (Bonferroni), and
    then every difference of two rates is between the differences of their ends.
    """
    share = alpha / sum(len(family) for family in families)
    low = high = 0.0
    for family in families:
        rates: list[Rate] = [binomial(hits, n, share) for hits, n in family]
        for a, b in permutations(rates, 2):
            low, high = max(low, a.low - b.high), max(high, a.high - b.low)
    return low, high


def gap_verdict(
    groups: Groups, *, detector: str, subject: str, maximum: float, figure: tuple[float, float, float] | None, parts: dict[str, str]
) -> Verdict:
    """Alarm when even the lower end of the gap is above `maximum`; `figure` None = fewer than two groups can be judged."""
    left_out = "".join(f"; not judged: {group!r} ({why})" for group, why in sorted(groups.left_out.items()))
    if figure is None:
        value, low, high = 0.0, 0.0, 1.0
        outcome, because = Outcome.INSUFFICIENT, f"{subject}: {len(groups.judged)} groups can be judged, two are needed{left_out}"
    else:
        value, low, high = figure
        outcome = Outcome.ALARM if low > maximum else Outcome.OK
        claim = "and all of it is above" if outcome is Outcome.ALARM else "not all of it above"
        rates = ", ".join(f"{group!r} {text}" for group, text in parts.items())
        because = f"{subject} is {value:.3f}, between {low:.3f} and {high:.3f}, {claim} the maximum of {maximum:g} ({rates}){left_out}"
    return Verdict(
        detector=detector,
        subject=subject,
        outcome=outcome,
        evidence=Score(distance=value, limit=maximum),
        value=value,
        low=low,
        high=high,
        n=groups.n,
        because=because,
        limit=maximum,
    )
