"""A season of topics: mornings and evenings are about other things, in texts, vectors or a pair of numbers, and a third thing is drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sketches.records import AT
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.prove.trials import DELTA, RUN_ALPHA

if TYPE_CHECKING:
    from numpy.typing import NDArray

START = datetime(2026, 11, 23, tzinfo=UTC)
NAMES = {"text": "text_witness", "vector": "embedding_witness", "table": "domain_classifier"}
KINDS = tuple(NAMES)
_DIMENSIONS, _PANES_N = 12, 24


def rows(kind: str, hours: NDArray[np.int64], rng: np.random.Generator, shift: float = 0.0) -> dict[str, NDArray[Any]]:
    """Rows of two worlds, that of the mornings (the first half of a day) and that of the evenings; `shift`: share of a third."""
    n = len(hours)
    world = np.where(rng.random(n) < shift, 2, (hours % 24 >= 12).astype(int))
    if kind == "text":
        stems = np.array(["tax", "film", "cook"])[world]
        words = rng.integers(0, 40, (n, 8))
        return {"input.x": np.array([" ".join(f"{s}{w}" for w in row) for s, row in zip(stems, words, strict=True)], dtype=object)}
    if kind == "vector":
        return {"input.x": (rng.normal(size=(n, _DIMENSIONS)) + 4.0 * np.eye(_DIMENSIONS)[world]).astype(np.float32)}
    a = rng.normal(size=n)
    b = np.choose(world, [a, -a, rng.normal(size=n)]) + 0.3 * rng.normal(size=n)
    return {"input.a": a, "input.b": b}


def detector(kind: str, rhythm: Rhythm = Rhythm.HOUR_OF_DAY, alpha: float = 1e-4, delta: float = 0.01) -> Any:
    about: dict[str, Any] = {"columns": ("input.a", "input.b")} if kind == "table" else {"column": "input.x"}
    return build(NAMES[kind], alpha=alpha, delta=delta, rhythm=rhythm, **about)


def reference(kind: str, rng: np.random.Generator, *, per_hour: int = 60) -> Reference:
    of = np.repeat(np.arange(24), per_hour)
    columns = {**rows(kind, of, rng), AT: START.timestamp() + 3600.0 * of + 3600.0 * rng.random(len(of))}
    return Reference(columns=columns, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def pane(kind: str, hour: int, rng: np.random.Generator, *, n: int = 40, shift: float = 0.0, offset: int = 0) -> Increment:
    """An hour of the days after the reference's; its records carry no time of their own. `offset`: hours by which its time is wrong."""
    start = START + timedelta(days=1, hours=hour + offset)
    columns = rows(kind, np.full(n, hour), rng, shift)
    return Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=Pairs.empty(), n=n)


def run(kind: str, seed: int, *, rhythm: Rhythm = Rhythm.HOUR_OF_DAY, offset: int = 0) -> float:
    """Panes of a quiet stream to the first alarm, or their number."""
    rng, one = np.random.default_rng(seed), detector(kind, rhythm, alpha=RUN_ALPHA, delta=DELTA)
    state = one.start(reference(kind, rng))
    for hour in range(_PANES_N):
        state, verdict = one.step(state, pane(kind, hour, rng, offset=offset))
        if verdict.outcome is Outcome.ALARM:
            break
    return hour + 1.0
