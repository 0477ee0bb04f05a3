"""What a remedy restores where the assumption does not hold: the same world, watched in another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors.examples import one_input, part, reference_of
from detectors.types import Outcome
from tests.prove.trials import REFERENCE_N, ROWS_N, proven, rows_of
from tests.prove.worlds import PANE_N, World, taken, world

_HOUR_N, _DAY_N = 60, 1440
"""Rows of an hour and of a day in the seasonal world."""
_STRIDE = 44
"""0.9 ** 44 = 0.01: what is left of an AR(1) series' memory from one kept row to the next."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    name: str
    world: str
    says: str
    kept: Callable[[int], bool]
    """Whether the row at a place in the stream is watched."""
    one_in: int
    """How many rows pass for each that is watched."""


REMEDIES = [
    Remedy(
        name="season, hour by hour",
        world="season",
        says="reference and stream of one hour of the day, as a reference by hour has them",
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
    detector, place, rng = proven(name), world(chosen.world), np.random.default_rng([seed, 8])
    rows = place.order(rows_of(detector, (REFERENCE_N + ROWS_N) * chosen.one_in, 2 * seed + 1, place), rng)
    rows = taken(rows, np.array([t for t in range(rows.n) if chosen.kept(t)]))
    reference = reference_of(detector, part(rows, 0, REFERENCE_N))
    state = detector.start(reference)
    for i, (at, end) in enumerate(pairwise(range(REFERENCE_N, REFERENCE_N + ROWS_N + 1, PANE_N))):
        state, verdict = detector.step(state, one_input(detector, part(rows, at, end), reference, i))
        if verdict.outcome is Outcome.ALARM:
            break
    return {"panes": i + 1.0, "alarm": float(verdict.outcome is Outcome.ALARM)}


def remedy_places(applicable: list[World]) -> list[Remedy]:
    """Remedies of the worlds that a detector is tried in."""
    return [r for r in REMEDIES if r.world in {w.name for w in applicable}]
