"""A day's traffic, and how it is said what an alarm sees in it: the smallest change, or how much traffic it takes to see any."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from detectors.sequential.growth import least_times

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True, slots=True)
class Soon:
    """Of one detector and subject."""

    detector: str
    subject: str
    says: str
    """A sentence without its subject: "it falls to 0.74 (floor 0.8)", or why nothing is seen."""
    smallest: float | None = None
    """In the unit of the figure; None = nothing is seen within a day."""
    takes: int | None = None
    """So many records (or labels) a day would show the largest change; None = a change is seen, or other things are missing."""
    unit: str = "records"
    """Of what it takes."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day brings."""

    records_n: float
    """That are kept."""
    labels_n: float | None
    """None = not known."""
    all_n: float | None = None
    """Records, kept or not; None = all are kept."""
    panes_n: float = 1440.0
    share: float = 1.0
    """Of the model's records that these are."""
    is_supposed: bool = False
    """Nothing is known of the reference but its size: what stands for it is made up (see `stand_in`)."""

    def part(self, share: float) -> Day:
        """A segment's part of it, told in records of the whole."""
        return replace(self, records_n=share * self.records_n, share=share * self.share)

    def even_n(self, most_weight: float) -> float:
        """Labels that weigh alike and are worth no more than the day's; 0 where these are not known.

        Bets are concave in a label's weight: those of a plan are worth at least as many even ones as would come if each record had the
        plan's least chance.
        """
        return min(self.labels_n or 0.0, (self.all_n or self.records_n) / most_weight)


def seen(
    d: Any,  # noqa: ANN401 (a detector)
    smallest: Callable[[float], float],
    says: Callable[[float], str],
    *,
    n: float,
    unit: str,
    never: str,
) -> Soon:
    """What it says of the figure that is the smallest change.

    `smallest`: that, or infinity = none is seen, by how many times the day's n records (or labels: `unit`) there are. `never`: why no
    number of them shows any.
    """
    found = smallest(1.0)
    if math.isfinite(found):
        return Soon(detector=d.name, subject=d.subject, says=says(found), smallest=float(found))
    times = least_times(smallest)
    return nothing(d, never) if math.isinf(times) else replace(nothing(d, ""), **_taking(_about(times * n), unit))


def _taking(n: int, unit: str) -> dict[str, Any]:
    return {"says": f"nothing: it takes {n:,} {unit} a day", "takes": n, "unit": unit}


def nothing(d: Any, why: str) -> Soon:  # noqa: ANN401 (a detector)
    """It sees no change within a day."""
    return Soon(detector=d.name, subject=d.subject, says=f"nothing: {why}")


def one_in(part: float, what: str, whole: str) -> str:
    """Say "one text in 12 is …"; of more than half "62% of the texts are …"."""
    n = math.floor(1.0 / part)
    return f"one {what} in {n} is" if n > 1 else f"{part:.0%} of the {whole} are"


def _about(n: float) -> int:
    """Rounded up, to two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(n, 1.0))) - 1)
    return int(math.ceil(n / unit - 1e-9) * unit)
