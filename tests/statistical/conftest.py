"""Judges of rates, with the chance that a valid detector fails them stated and computed in log space."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.types import Increment, Pairs, Reference
from tests.prove.limits import LOG_FLAKE, least_mean_run, most_crossings


@dataclass
class Judge:
    rows: list[tuple[str, ...]]

    def _note(self, *row: str) -> None:
        self.rows.append((*row, f"{math.exp(LOG_FLAKE):.0e}"))

    def crossings(self, what: str, crossed: NDArray[np.bool_], alpha: float) -> None:
        """An e-process may ever cross in at most a share alpha of the streams."""
        n, most = len(crossed), most_crossings(len(crossed), alpha)
        self._note(what, f"P(ever crosses) <= {alpha:g}", f"{crossed.mean():.4f}", f"{most / n:.4f}", str(n))
        assert crossed.sum() <= most, f"{what}: {crossed.sum()} of {n} streams cross, at most {most} may"

    def run_lengths(self, what: str, runs: NDArray[np.float64], least: float) -> None:
        """An e-detector's mean run length, censored at the stream's end, may miss `least` only by chance."""
        limit = least_mean_run(len(runs), least)
        self._note(what, f"mean run >= {least:.1f} panes", f"{runs.mean():.1f}", f"{limit:.1f}", str(len(runs)))
        assert runs.mean() >= limit, f"{what}: mean run {runs.mean():.1f} panes, at least {least:.1f} promised"

    def failures(self, what: str, failed: NDArray[np.bool_], delta: float) -> None:
        """A bound made from the reference may fail in at most a share delta of the references."""
        n, most = len(failed), most_crossings(len(failed), delta)
        self._note(what, f"P(bound fails) <= {delta:g}", f"{failed.mean():.4f}", f"{most / n:.4f}", str(n))
        assert failed.sum() <= most, f"{what}: {failed.sum()} of {n} bounds fail, at most {most} may"

    def delays(self, what: str, delays: list[float], most: float) -> None:
        """A real shift is found in every stream, and soon."""
        self.rows.append(
            (what, f"every stream, within {most:g} records", f"median {np.median(delays):.0f}", f"{most:g}", str(len(delays)), "-")
        )
        assert max(delays) <= most, f"{what}: delays {delays}"


@pytest.fixture
def judge(proof_rows: list[tuple[str, ...]]) -> Judge:
    return Judge(proof_rows)


class Make:
    """Inputs of detectors, and their runs."""

    @staticmethod
    def increment(i: int, *, pairs: Pairs | None = None, **columns: Any) -> Increment:
        """Increment number i, a minute long."""
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        named = _named(columns)
        n = max((len(v) for v in named.values()), default=0)
        return Increment(start=start, end=start + timedelta(minutes=1), columns=named, pairs=pairs or Pairs.empty(), n=n)

    @staticmethod
    def reference(*, bound: Pairs | None = None, **columns: Any) -> Reference:
        """A reference of the named columns and bound pairs."""
        return Reference(columns=_named(columns), kinds={}, sketches={}, bound=bound or Pairs.empty(), digest="0")

    @staticmethod
    def pairs_of(rng: np.random.Generator, n: int, error: float) -> Pairs:
        """n pairs with the given share of errors, labels half and half."""
        names = objects(["negative", "positive"])
        label, is_wrong = rng.integers(0, 2, n), rng.random(n) < error
        return Pairs(predicted=names[np.where(is_wrong, 1 - label, label)], label=names[label])

    @staticmethod
    def run_length(detector: Any, reference: Reference, increments: Iterable[Increment]) -> float:
        """Panes to the first alarm, or their number."""
        state, panes_n = detector.start(reference), 0.0
        for data in increments:
            state, verdict = detector.step(state, data)
            panes_n += 1.0
            if verdict.outcome.value == "alarm":
                break
        return panes_n


@pytest.fixture
def make() -> Make:
    return Make()


def objects(values: Iterable[Any]) -> NDArray[np.object_]:
    items = list(values)
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


def _named(columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
    return {f"input.{name}": values if isinstance(values, np.ndarray) else objects(values) for name, values in columns.items()}
