"""This project's sequential detectors, as the service folds them: one increment a pane, columns averaged for run length."""

from __future__ import annotations

import dataclasses
import itertools
import math
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import protocol

from detectors.registry import detector_class
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Detector, Eats, Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_START = datetime(2026, 1, 1, tzinfo=UTC)
_EATS = {Eats.NUMERIC: "numeric", Eats.CATEGORY: "category", Eats.TEXT: "text", Eats.EMBEDDING: "embedding"}
_ALPHA = 0.01
"""Caps and shown figures use it; the score is the evidence itself. 1 / alpha = 100 panes, the run length that all are matched at."""


@dataclasses.dataclass(frozen=True)
class Folded:
    """The evidence of some detectors over all columns that each reads: the mean of their e-values, as log10."""

    settings: Mapping[str, Mapping[str, Any]]
    """Detector -> settings beside column and alpha."""
    weeks: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    """One of its own for each stream: where a record ranks among equal ones is drawn by its pane's start, and streams share no luck."""

    def __call__(self, reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        """One score a pane."""
        detectors = [one for name, settings in self.settings.items() for one in self._built(name, settings, kinds)]
        if not detectors:
            return None
        known, start = _reference(reference, kinds), _START + timedelta(weeks=next(self.weeks))
        found = np.array([_folded(one, known, panes, start) for one in detectors])  # (detectors, panes)
        with np.errstate(divide="ignore"):
            mean: np.ndarray = np.log10(np.mean(10.0 ** np.minimum(found, 300.0), axis=0))
        return mean.tolist()

    def _built(self, name: str, settings: Mapping[str, Any], kinds: Mapping[str, str]) -> list[Detector]:
        cls = detector_class(name)
        fields = {field.name for field in dataclasses.fields(cls)}
        given = {"alpha": _ALPHA, **settings}
        columns = protocol.named(kinds, *(_EATS[x] for x in cls.eats if x in _EATS))
        if "columns" in fields:
            return [cls(columns=tuple(protocol.named(kinds, "numeric", "category")), **given)]
        if "column" not in fields:
            return [cls(**given)]
        return [cls(column=name, **given) for name in columns]


def _reference(rows: Columns, kinds: Mapping[str, str]) -> Reference:
    columns = {name: rows[name] for name, kind in kinds.items() if kind != "pair"}
    read = {name: ColumnKind(kinds[name]) for name in columns}
    sketches = dict(summarise(columns, read))
    return Reference(columns=columns, kinds=read, sketches=sketches, bound=_pairs(rows), digest="bench")


def _pairs(rows: Columns) -> Pairs:
    """Pairs whose label has come."""
    if "pairs.label" not in rows:
        return Pairs.empty()
    has_label = [label is not None for label in rows["pairs.label"]]
    groups = {name.removeprefix("group."): values[has_label] for name, values in rows.items() if name.startswith("group.")}
    return Pairs(predicted=rows["pairs.predicted"][has_label], label=rows["pairs.label"][has_label], groups=groups)


def _folded(detector: Detector, reference: Reference, panes: Sequence[Columns], first: datetime) -> list[float]:
    state, scores = detector.start(reference), []
    for at, pane in enumerate(panes):
        start = first + timedelta(hours=at)
        columns = {name: pane[name] for name in reference.columns}
        n = len(next(iter(pane.values())))
        increment = Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=_pairs(pane), n=n)
        state, verdict = detector.step(state, increment)
        scores.append(protocol.NOTHING if verdict.outcome is Outcome.INSUFFICIENT else float(verdict.evidence.log10_e))  # type: ignore[union-attr]  # alarms
    return scores


if __name__ == "__main__":
    asked: dict[str, dict[str, dict[str, Any]]] = protocol.options()["ours"]
    rules = {row: protocol.Rule(Folded(settings), -math.log10(_ALPHA)) for row, settings in asked.items()}
    protocol.main(rules, {"retuned": version("retuned")})
