"""What a remedy restores where the assumption does not hold: the same world, watched in another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from detectors.examples import Records, one_input, part, reference_of
from detectors.rhythm import Rhythm
from detectors.sketches.records import AT
from detectors.types import Detector, Outcome
from tests.prove.trials import REFERENCE_N, ROWS_N, WEEK, proven, rows_of
from tests.prove.worlds import PANE_N, World, taken, world

_HOUR_N, _DAY_N = 60, 1440
"""Rows of an hour and of a day in the seasonal world."""
_STRIDE = 44
"""0.9 ** 44 = 0.01: what is left of an AR(1) series' memory from one kept row to the next."""
_DAYS_N = 7
"""Of reference: as long as the service learns one."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    name: str
    world: str
    says: str
    kept: Callable[[int], bool] = lambda _: True
    """Whether the row at a place in the stream is watched."""
    one_in: int = 1
    """How many rows pass for each that is watched."""
    rhythm: Rhythm = Rhythm.NONE
    """Of the detector itself."""
    reference_n: int = REFERENCE_N

    def is_for(self, detector: Detector) -> bool:
        """A rhythm is for those that have one and are held to no fixed limit, and the simulated one for the others."""
        knows_hours = hasattr(detector, "rhythm") and getattr(detector, "minimum", None) is None
        return knows_hours == (self.rhythm is not Rhythm.NONE) or self.world != "season"


REMEDIES = [
    Remedy(
        name="season, by hour of day",
        world="season",
        says="the detector's own `rhythm: hour_of_day`, with a reference of the seven days before",
        rhythm=Rhythm.HOUR_OF_DAY,
        reference_n=_DAYS_N * _DAY_N,
    ),
    Remedy(
        name="season, one hour",
        world="season",
        says="simulated, for detectors without a rhythm: reference and stream of one hour of the day only",
        kept=lambda t: t % _DAY_N < _HOUR_N,
        one_in=_DAY_N // _HOUR_N,
    ),
    Remedy(
        name="AR(1), one row of 44",
        world="AR(1)",
        says="every 44th row is watched, of the reference's rows as well",
        kept=lambda t: t % _STRIDE == 0,
        one_in=_STRIDE,
    ),
]


def remedied(name: str, remedy: str, seed: int) -> dict[str, float]:
    """As `trials.stream`, but the reference are the first watched rows of the same history, and only watched rows come."""
    chosen = next(r for r in REMEDIES if r.name == remedy)
    detector: Any = proven(name)
    if chosen.rhythm is not Rhythm.NONE:
        detector = dataclasses.replace(detector, rhythm=chosen.rhythm)
    place, rng = world(chosen.world), np.random.default_rng([seed, 8])
    rows = place.order(rows_of(detector, (chosen.reference_n + ROWS_N) * chosen.one_in, 2 * seed + 1, place), rng)
    rows = taken(rows, np.array([t for t in range(rows.n) if chosen.kept(t)]))
    reference = reference_of(detector, part(rows, 0, chosen.reference_n))
    rows = timed(rows)
    known = part(rows, 0, chosen.reference_n)
    reference = dataclasses.replace(reference, columns=known.columns, bound=known.pairs)
    state = detector.start(reference)
    for i, (at, end) in enumerate(pairwise(range(chosen.reference_n, rows.n + 1, PANE_N))):
        state, verdict = detector.step(state, one_input(detector, part(rows, at, end), reference, WEEK * seed + i))
        if verdict.outcome is Outcome.ALARM:
            break
    return {"panes": i + 1.0, "alarm": float(verdict.outcome is Outcome.ALARM)}


def timed(rows: Records) -> Records:
    """A row a minute, labelled ones too."""
    pairs = dataclasses.replace(rows.pairs, at=60.0 * np.arange(rows.pairs.n))
    return dataclasses.replace(rows, columns={**rows.columns, AT: 60.0 * np.arange(rows.n)}, pairs=pairs)


def remedy_places(detector: Detector, applicable: list[World]) -> list[Remedy]:
    """Remedies of the worlds that a detector is tried in."""
    return [r for r in REMEDIES if r.world in {w.name for w in applicable} and r.is_for(detector)]
