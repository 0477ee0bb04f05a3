"""A sequential detector through a whole stream, alarms or not: its evidence, and whether its interval holds the truth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from detectors import registry
from detectors.examples import one_input, part, reference_of
from detectors.types import Detector, Outcome
from tests.prove.trials import REFERENCE_N, ROWS_N, WEEK, proven, rows_of
from tests.prove.worlds import world

CERTAIN = 1e-11
"""alpha and delta at which a valid detector alarms in 334 panes with a probability of at most 4e-9."""
LEARNT = {
    **dict.fromkeys(
        ("domain_classifier", "embedding_witness", "text_witness"),
        "how often production is hit by what was learnt, something else in every stream: 0 in a quiet world, no one value in a shifted one",
    ),
    **dict.fromkeys(
        [f"conformal_{about}{kind}" for about in ("given_inputs", "inputs") for kind in ("", "_value", "_judged")],
        "against reference rows by weights that are learnt on the way: tests/statistical/test_causes.py holds them against moved worlds",
    ),
}
"""Detectors whose figure has no one value in a shifted world, and why."""


def certain(name: str) -> Detector:
    """The detector's example at rates at which any quiet alarm is a fault."""
    detector: Any = registry.detector_class(name).example()
    changes = {"delta": CERTAIN / 2.0} if hasattr(detector, "delta") else {}
    found: Detector = dataclasses.replace(detector, alpha=CERTAIN, **changes)
    return found


def followed(detector: Detector, where: str, seed: int, *, shift: float = 0.0, rows_n: int = ROWS_N, panes_n: int = 0) -> dict[str, float]:
    """The last interval, and what all intervals have in common; whether it alarmed. `panes_n`: equal panes instead of the world's."""
    place, rng = world(where), np.random.default_rng([seed, 8])
    reference = reference_of(detector, rows_of(detector, REFERENCE_N, 2 * seed, place))
    rows = place.order(rows_of(detector, rows_n, 2 * seed + 1, place, shift=shift), rng)
    sizes = [rows.n // panes_n] * panes_n if panes_n else place.sizes(rows.n, rng)
    found = {"n": 0.0, "low": -np.inf, "high": np.inf, "every_low": -np.inf, "every_high": np.inf, "alarm": 0.0}
    state, at = detector.start(reference), 0
    for i, size in enumerate(sizes):
        state, verdict = detector.step(state, one_input(detector, part(rows, at, at + size), reference, WEEK * seed + i))
        at += size
        if verdict.outcome is not Outcome.INSUFFICIENT:
            found |= {"n": verdict.n, "low": verdict.low, "high": verdict.high}
            found["every_low"] = max(found["every_low"], verdict.low)
            found["every_high"] = min(found["every_high"], verdict.high)
            found["alarm"] = max(found["alarm"], float(verdict.outcome is Outcome.ALARM))
    return {key: float(value) for key, value in found.items()}


def quiet(name: str, where: str, seed: int) -> dict[str, float]:
    """Followed through a quiet stream at the rates of the proofs."""
    return followed(proven(name), where, seed)


def moved(name: str, where: str, seed: int) -> dict[str, float]:
    """The same in a stream that is moderately shifted from its first record."""
    return followed(proven(name), where, seed, shift=0.15)
