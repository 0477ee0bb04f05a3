"""One trial of one detector: a fresh reference, a quiet stream or a window, and what came of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from detectors import registry
from detectors.examples import N, Records, one_input, part, records, reference_of
from detectors.types import Detector, EDetectorValue, EValue, Kind, Outcome, PValue
from tests.prove.worlds import WORLDS, World, taken, together, world

ROWS_N = 5_010
REFERENCE_N = 600
LARGE_N = 20_000
"""Rows of a reference and of a window from which the truth about a world is read."""
RUN_ALPHA, EVER_ALPHA, LOOK_ALPHA, DELTA = 1.0 / 50.0, 0.1, 0.05, 0.05
WEEK = 7 * 24 * 60
"""Minutes: each stream begins in a week of its own, as ranks among equal records are drawn by the pane's time: no two share that luck."""
_SHIFT = 0.15
"""Share of rows from the other world in a moderately shifted window."""


def proven(name: str) -> Detector:
    """The detector's example at rates that a few hundred trials can tell from twice as much."""
    detector: Any = registry.detector_class(name).example()
    rates = {EDetectorValue: RUN_ALPHA, EValue: EVER_ALPHA, PValue: LOOK_ALPHA}
    changes: dict[str, float] = {}
    if hasattr(detector, "alpha"):
        changes["alpha"] = RUN_ALPHA if detector.kind is Kind.EXPLAINS else rates.get(detector.evidence, LOOK_ALPHA)
    if hasattr(detector, "delta"):
        changes["delta"] = DELTA
    found: Detector = dataclasses.replace(detector, **changes)
    return found


def rows_of(detector: Detector, n: int, seed: int, where: World, *, shift: float = 0.0) -> Records:
    """n rows of the detector's example with the world's marginal; `shift`: share of rows from the example's other world."""
    rng = np.random.default_rng([seed, 7])
    drawn = n * where.drawn
    rows = records(detector, drawn, seed=seed)
    if shift:
        other = dataclasses.replace(records(detector, drawn, seed=seed, is_shifted=True), is_shifted=False)
        rows = taken(together(rows, other), np.arange(drawn) + drawn * (rng.random(drawn) < shift))
    return where.marginal(rows, rng)


def stream(name: str, where: str, seed: int) -> dict[str, float]:
    """A sequential detector over a quiet stream, until it alarms: panes to the alarm (or all), whether it did, its last figures."""
    detector, place, rng = proven(name), world(where), np.random.default_rng([seed, 8])
    reference = reference_of(detector, rows_of(detector, REFERENCE_N, 2 * seed, place))
    rows = place.order(rows_of(detector, ROWS_N, 2 * seed + 1, place), rng)
    state = detector.start(reference)
    panes_n, at = 0, 0
    for size in place.sizes(rows.n, rng):
        state, verdict = detector.step(state, one_input(detector, part(rows, at, at + size), reference, WEEK * seed + panes_n))
        panes_n, at = panes_n + 1, at + size
        if verdict.outcome is Outcome.ALARM:
            break
    found = {"panes": panes_n, "alarm": float(verdict.outcome is Outcome.ALARM), "n": verdict.n}
    return {**found, "value": verdict.value, "low": verdict.low, "high": verdict.high}


def look(name: str, where: str, seed: int, shift: float = 0.0) -> dict[str, float]:
    """A one-look detector on one window with a fresh reference."""
    detector, place = proven(name), world(where)
    reference = reference_of(detector, rows_of(detector, REFERENCE_N, 2 * seed, place))
    rows = rows_of(detector, N if place.is_inside else ROWS_N, 2 * seed + 1, place, shift=shift)
    rows = part(place.order(rows, np.random.default_rng([seed, 8])), 0, min(N, rows.n))
    verdict = detector.step(detector.start(reference), one_input(detector, rows, reference))[1]
    found = {"alarm": float(verdict.outcome is Outcome.ALARM), "n": verdict.n, "unknown": float(verdict.outcome is Outcome.INSUFFICIENT)}
    return {**found, "value": verdict.value, "low": verdict.low, "high": verdict.high}


def shifted_look(name: str, where: str, seed: int) -> dict[str, float]:
    """The same with a window that is moderately shifted."""
    return look(name, where, seed, _SHIFT)


def truth(name: str, where: str, *, shift: bool) -> tuple[float, float]:
    """(value, its own error): the detector's value on large samples of the world, three times."""
    detector, place = proven(name), world(where)
    values = []
    for seed in range(3):
        reference = reference_of(detector, rows_of(detector, LARGE_N, 900_000 + seed, place))
        rows = rows_of(detector, LARGE_N, 910_000 + seed, place, shift=_SHIFT * shift)
        values.append(detector.step(detector.start(reference), one_input(detector, rows, reference))[1].value)
    spread = (max(values) - min(values)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread


def places(name: str) -> list[World]:
    """Worlds that change anything for the detector; the number of rows a pane means nothing to one look."""
    detector = proven(name)
    rows = records(detector, 60, seed=0)
    return [w for w in WORLDS if w.applies(detector, rows) and (detector.kind in {Kind.ALARMS, Kind.EXPLAINS} or w.name != "volume")]


def nominal(name: str) -> float:
    """What the interval claims: 1 - alpha of a detector with a level at one look or for ever, .95 for the figures of an e-detector."""
    detector: Any = proven(name)
    if detector.evidence is EDetectorValue or detector.kind is Kind.EXPLAINS or not hasattr(detector, "alpha"):
        return 0.95
    return float(1.0 - detector.alpha)
