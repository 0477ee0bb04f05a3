"""Quality of data: bounds from a finite reference hold, rates that are fine alarm no oftener than promised, intervals hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from detectors.quality.cardinality import Cardinality
from detectors.quality.repeats import MEMORY_N
from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.hits import Hits
from detectors.sketches.records import CONTENT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Pairs, Reference, Window

LOOKS_N, RECORDS_A_LOOK = 334, 15
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_TAIL = 1.0 / np.arange(1, 121) / (1.0 / np.arange(1, 121)).sum()
_NAMES = np.asarray([f"kind {i}" for i in range(120)], dtype=object)

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def _reference(subject: str, values: Any, kind: ColumnKind, wrong: Any = None) -> Reference:
    kinds = {} if subject == CONTENT else {subject: kind}
    sketches: Any = dict(summarise({subject: values}, kinds))
    if wrong is not None and subject in sketches:
        sketches[subject]["wrong"] = Hits().add(wrong)
    return Reference(columns={subject: values}, kinds=kinds, sketches=sketches, bound=Pairs.empty(), digest="0")


def _window(subject: str, values: Any, kind: ColumnKind) -> Window:
    sketches = dict(summarise({subject: values}, {subject: kind}))
    end = _AT + timedelta(hours=1)
    n = len(values)
    return Window(model="m", version="1", start=_AT, end=end, n_seen=n, n=n, sketches=sketches, confusion=Confusion())


def _draw(name: str, rng: np.random.Generator, n: int, extra: float = 0.0) -> tuple[Any, Any]:
    """Values and which of them are unreadable; `extra`: share of further faults."""
    more = rng.random(n) < extra
    match name:
        case "missing":
            return np.where((rng.random(n) < 0.03) | more, np.nan, rng.normal(size=n)), np.zeros(n, dtype=bool)
        case "wrong_type":
            bad = (rng.random(n) < 0.03) | more
            return np.where(bad, np.nan, rng.normal(size=n)), bad
        case "out_of_range":
            return np.where(more, 9.0, np.round(rng.random(n), 2)), np.zeros(n, dtype=bool)
        case "unseen_category":
            found = _NAMES[rng.choice(120, n, p=_TAIL)]
            found[more] = "never"
            return found, np.zeros(n, dtype=bool)
        case _:  # contents, of which the most frequent one comes once in 300 records
            found = np.where(rng.random(n) < 1 / 300, 0, rng.integers(1, 2**62, n))
            found[1:][more[1:]] = found[:-1][more[1:]]
            return found, np.zeros(n, dtype=bool)


def _truth(name: str, known: Any, base: Any) -> float:
    match name:
        case "missing" | "wrong_type":
            return 0.03
        case "out_of_range":
            grid = np.round((np.arange(20_000) + 0.5) / 20_000, 2)
            return float(((grid < known.low) | (grid > known.high)).mean())
        case "unseen_category":
            return float(_TAIL[[name not in set(known.categories) for name in _NAMES.tolist()]].sum())
        case _:
            assert len(base)
            q = 1 / 300
            return q * (1.0 - (1.0 - q) ** MEMORY_N)


_FAULTS = {
    "missing": ColumnKind.NUMERIC,
    "wrong_type": ColumnKind.NUMERIC,
    "out_of_range": ColumnKind.NUMERIC,
    "unseen_category": ColumnKind.CATEGORY,
    "duplicate_content": ColumnKind.NUMERIC,
}


def _detector(name: str, **settings: Any) -> tuple[str, Any]:
    subject = CONTENT if name == "duplicate_content" else "input.x"
    column = {} if name == "duplicate_content" else {"column": subject}
    own = {"range_tolerance": 0.0} if name == "out_of_range" else {}
    return subject, build(f"{name}_rise", **column, **own, **settings)


@short_and_full
@pytest.mark.parametrize("name", _FAULTS)
def test_the_bound_of_a_fault_fails_in_at_most_delta_of_the_references(judge: Any, name: str, size: int) -> None:
    rng, delta, failed = np.random.default_rng(31), 0.1, []
    subject, detector = _detector(name, alpha=0.01, delta=delta)
    for _ in range(150 * size):
        values, wrong = _draw(name, rng, 640)
        known = detector.known(_reference(subject, values, _FAULTS[name], wrong))
        failed.append(_truth(name, known, values) > known.bound)
    judge.failures(f"{name}: bound from a reference of 640", np.array(failed), delta)


@short_and_full
@pytest.mark.parametrize("name", _FAULTS)
def test_data_as_damaged_as_is_fine_run_as_long_as_promised(judge: Any, make: Any, name: str, size: int) -> None:
    rng, alpha, tolerance = np.random.default_rng(32), 1 / 25, 0.02
    subject, detector = _detector(name, alpha=alpha, delta=0.05, tolerance=tolerance)
    runs = []
    for _ in range(8 * size):
        values, wrong = _draw(name, rng, 640)
        base = _reference(subject, values, _FAULTS[name], wrong)

        def panes() -> Any:
            for i in range(LOOKS_N):
                values, wrong = _draw(name, rng, RECORDS_A_LOOK, extra=tolerance)
                pane = make.increment(i)
                yield replace(pane, columns={subject: values}, n=RECORDS_A_LOOK, wrong={subject: int(wrong.sum())})

        runs.append(make.run_length(detector, base, panes()))
    judge.run_lengths(f"{name}_rise (whole detector, at the tolerance)", np.array(runs), 0.95 / alpha)


@short_and_full
@pytest.mark.parametrize("popular", [(1, 1 / 32), (1, 0.2), (5, 0.03), (100, 0.01)], ids=str)
def test_independent_contents_that_repeat_by_chance_run_as_long_as_promised(
    judge: Any, make: Any, popular: tuple[int, float], size: int
) -> None:
    """So many contents come with such a chance each, all others once: what recent ones leave to chance is no fixed share."""
    (many, chance), rng, alpha, runs = popular, np.random.default_rng(35), 1 / 25, []
    detector = build("duplicate_content_rise", alpha=alpha, delta=0.05, tolerance=0.003)

    def drawn(n: int) -> Any:
        return np.where(rng.random(n) < many * chance, rng.integers(0, many, n), rng.integers(many, 2**62, n))

    for _ in range(8 * size):
        base = Reference(columns={CONTENT: drawn(640)}, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")
        panes = (replace(make.increment(i), columns={CONTENT: drawn(60)}, n=60) for i in range(LOOKS_N))
        runs.append(make.run_length(detector, base, panes))
    judge.run_lengths(f"duplicate_content_rise, contents that come by chance again, {popular}", np.array(runs), 0.95 / alpha)


@short_and_full
def test_repeated_ids_at_the_tolerance_run_as_long_as_promised(judge: Any, make: Any, size: int) -> None:
    rng, alpha = np.random.default_rng(33), 1 / 25
    detector = build("duplicate_id_rise", alpha=alpha, tolerance=0.1)
    nothing = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")

    def pane(i: int) -> Increment:
        return replace(make.increment(i), n=RECORDS_A_LOOK, arrived=RECORDS_A_LOOK, repeated=int(rng.binomial(RECORDS_A_LOOK, 0.1)))

    runs = [make.run_length(detector, nothing, (pane(i) for i in range(LOOKS_N))) for _ in range(40 * size)]
    judge.run_lengths("duplicate_id_rise (whole detector, at the tolerance)", np.array(runs), 1 / alpha)


@short_and_full
@pytest.mark.parametrize("n", [200, 3000])
def test_the_number_of_categories_of_a_like_window_is_within_its_interval(judge: Any, n: int, size: int) -> None:
    rng, alpha, failed = np.random.default_rng(34), 0.1, []
    detector = Cardinality(column="input.x", alpha=alpha)
    for _ in range(150 * size):
        base = _reference("input.x", _draw("unseen_category", rng, 640)[0], ColumnKind.CATEGORY)
        verdict = detector.step(detector.start(base), _window("input.x", _draw("unseen_category", rng, n)[0], ColumnKind.CATEGORY))[1]
        failed.append(not verdict.low <= 1.0 <= verdict.high)
    judge.failures(f"cardinality: interval, {n} records against 640", np.array(failed), alpha)


@short_and_full
@pytest.mark.parametrize(("mean", "spread"), [(50.0, 0.3), (5000.0, 0.05)])
def test_traffic_of_a_like_day_is_within_its_interval(judge: Any, mean: float, spread: float, size: int) -> None:
    rng, alpha, failed = np.random.default_rng(35), 0.1, []
    detector = build("traffic", alpha=alpha)
    empty = _window("input.x", np.empty(0), ColumnKind.NUMERIC)
    for _ in range(300 * size):
        days = rng.poisson(mean * np.exp(rng.normal(0.0, spread, 8)))
        verdict = detector.step(None, replace(empty, traffic=tuple(int(x) for x in days)))[1]
        failed.append(not verdict.low <= 1.0 <= verdict.high)
    judge.failures(f"traffic: interval, days of {mean:g}", np.array(failed), alpha)
