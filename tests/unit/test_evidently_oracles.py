"""The distances of columns are Evidently's statistics on the same raw data, where both define the same thing."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Pairs, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Callable

_SEEDS = range(3)
_KINDS = {"input.age": ColumnKind.NUMERIC, "input.channel": ColumnKind.CATEGORY}


@pytest.fixture(scope="module")
def evidently() -> Callable[[str, Any, Any, str], float]:
    """Name, reference, current and type ("num", "cat") of a statistic -> its value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own deprecations
        from evidently.legacy.calculations.stattests import registry
        from evidently.legacy.core import ColumnType

    def score(name: str, before: Any, now: Any, kind: str) -> float:
        reference, current = pd.Series(before), pd.Series(now)
        test = registry.get_stattest(reference, current, ColumnType(kind), name)
        return float(test(reference, current, ColumnType(kind), 0.1).drift_score)

    return score


def _value(name: str, subject: str, before: Any, now: Any) -> float:
    detector = build(name, column=subject)
    sketches = [dict(summarise({subject: values}, _KINDS)) for values in (before, now)]
    reference = Reference(columns={}, kinds=_KINDS, sketches=sketches[0], bound=Pairs.empty(), digest="d")
    at, n = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime(), len(now)
    window = Window(model="m", version="1", start=at, end=at, n_seen=n, n=n, sketches=sketches[1], confusion=Confusion())
    return float(detector.step(detector.start(reference), window)[1].value)


@pytest.mark.parametrize("seed", _SEEDS)
def test_of_numbers(evidently: Callable[[str, Any, Any, str], float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.normal(40.0, 10.0, 900), rng.normal(41.0 + seed, 12.0, 700)
    theirs = evidently("wasserstein", before, now, "num")
    assert _value("wasserstein", "input.age", before, now) == pytest.approx(theirs, rel=2e-3)  # it divides by n, we by n - 1
    digits = rng.integers(0, 5, 900).astype(float), rng.integers(1, 5, 700).astype(float)  # few values: a bin each, as there
    assert _value("ks", "input.age", *digits) == pytest.approx(_statistic(*digits))
    assert _value("jensen_shannon_numeric", "input.age", *digits) == pytest.approx(
        evidently("jensenshannon", *digits, "num") / math.sqrt(math.log(2.0))  # nats to bits
    )


def _statistic(before: Any, now: Any) -> float:
    grid = np.arange(6)
    return float(max(abs((before <= x).mean() - (now <= x).mean()) for x in grid))


@pytest.mark.parametrize("seed", _SEEDS)
def test_of_categories(evidently: Callable[[str, Any, Any, str], float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.asarray(["web", "shop", "phone", "fax"], dtype=object)
    before, now = names[rng.choice(4, 900, p=[0.4, 0.3, 0.2, 0.1])], names[rng.choice(4, 700)]
    ours = {name: _value(name, "input.channel", before, now) for name in ("jensen_shannon", "hellinger", "psi_category")}
    assert ours["jensen_shannon"] == pytest.approx(evidently("jensenshannon", before, now, "cat") / math.sqrt(math.log(2.0)))
    assert ours["hellinger"] == pytest.approx(evidently("hellinger", before, now, "cat"))
    assert ours["psi_category"] == pytest.approx(evidently("psi", before, now, "cat"), rel=0.02)  # we add half a record to each


@pytest.mark.parametrize("seed", _SEEDS)
def test_total_variation(evidently: Callable[[str, Any, Any, str], float], seed: int) -> None:
    assert evidently is not None  # it is imported, its warnings are gone
    from evidently.legacy.calculations.stattests.tvd_stattest import _total_variation_distance

    rng = np.random.default_rng(seed)
    names = np.asarray(["web", "shop", "phone", "fax"], dtype=object)
    before, now = names[rng.choice(4, 900)], names[rng.choice(3, 700)]
    theirs = _total_variation_distance(pd.Series(before), pd.Series(now))
    assert _value("total_variation", "input.channel", before, now) == pytest.approx(theirs)
