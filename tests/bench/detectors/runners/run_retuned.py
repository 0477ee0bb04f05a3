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

from detectors.group_means import Mean
from detectors.registry import detector_class
from detectors.sequential.column_of_segment import CategoryOfSegment, NumericOfSegment
from detectors.sequential.segment import Segment
from detectors.sketches.hits import Hits
from detectors.sketches.records import CONTENT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Detector, Eats, Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_START = datetime(2026, 1, 1, tzinfo=UTC)
_EATS = {Eats.NUMERIC: "numeric", Eats.CATEGORY: "category", Eats.TEXT: "text", Eats.EMBEDDING: "embedding"}
_GROUP, _SEGMENT, _WRONG = "group.", "segment.", "wrong."
_OF_SEGMENT = {"conformal_numeric": NumericOfSegment, "conformal_category": CategoryOfSegment}
_ALPHA = 0.01
"""Caps and shown figures use it; the score is the evidence itself. 1 / alpha = 100 panes, the run length that all are matched at."""


@dataclasses.dataclass(frozen=True)
class Folded:
    """The evidence of some detectors over all columns that each reads: the mean of their e-values, as log10."""

    settings: Mapping[str, Mapping[str, Any]]
    """Detector -> settings beside column and alpha; `within`: a column of groups, one detector for each."""
    weeks: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    """One of its own for each stream: where a record ranks among equal ones is drawn by its pane's start, and streams share no luck."""

    def __call__(self, reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        """One score a pane."""
        detectors = [one for name, settings in self.settings.items() for one in _built(name, settings, reference, kinds)]
        if not detectors:
            return None
        known, start = _reference(reference, kinds), _START + timedelta(weeks=next(self.weeks))
        found = np.array([_folded(one, known, panes, kinds, start) for one in detectors])  # (detectors, panes)
        with np.errstate(divide="ignore"):
            mean: np.ndarray = np.log10(np.mean(10.0 ** np.minimum(found, 300.0), axis=0))
        return mean.tolist()


def _built(name: str, settings: Mapping[str, Any], reference: Columns, kinds: Mapping[str, str]) -> list[Detector]:
    cls = detector_class(name)
    given = {"alpha": _ALPHA, **{key: _setting(key, value) for key, value in settings.items()}}
    if by := given.pop("within", None):
        groups = sorted(set(protocol.known(reference[_GROUP + by])))
        within = [Segment(column=_SEGMENT + by, value=group) for group in groups]
        return [_OF_SEGMENT.get(name, cls)(within=one, **given) for one in within]
    fields = {field.name for field in dataclasses.fields(cls)}
    columns = protocol.named(kinds, *(_EATS[x] for x in cls.eats if x in _EATS))
    if "columns" in fields:
        return [cls(columns=tuple(protocol.named(kinds, "numeric", "category")), **given)]
    if "column" not in fields:
        return [cls(**given)]
    return [cls(column=column, **given) for column in columns]


def _setting(key: str, value: Any) -> Any:
    """As the detector wants what came as JSON."""
    return Mean(value) if key == "of" else tuple(value) if isinstance(value, list) else value


def _reference(rows: Columns, kinds: Mapping[str, str]) -> Reference:
    read = {name: ColumnKind(kind) for name, kind in kinds.items() if kind in _EATS.values()}
    columns = _columns(rows, kinds)
    sketches = {name: {**of} for name, of in summarise({name: columns[name] for name in read}, read).items()}
    for name in protocol.named(kinds, "fault"):
        sketches[name.removeprefix(_WRONG)]["wrong"] = Hits().add(rows[name] > 0.0)
    return Reference(columns=columns, kinds=read, sketches=sketches, bound=_pairs(rows, kinds), digest="bench")


def _columns(rows: Columns, kinds: Mapping[str, str]) -> Columns:
    """Of all records, under our names of them."""
    found = {name: rows[name] for name, kind in kinds.items() if kind in _EATS.values()}
    found |= {name.replace(_GROUP, _SEGMENT, 1): rows[name] for name in kinds if name.startswith(_GROUP)}
    if CONTENT in kinds:
        found[CONTENT] = rows[CONTENT].astype(np.int64)
    if names := protocol.classes(kinds):
        found["output.scores"] = np.stack([protocol.latest(rows, protocol.SCORES + name) for name in names], axis=1)  # (n, k)
        found["output.label"] = protocol.latest(rows, "pairs.predicted")
    return found


def _pairs(rows: Columns, kinds: Mapping[str, str]) -> Pairs:
    """Pairs whose label, value or quality has come: of classes, of numbers, or judged."""
    truth = rows.get("pairs.quality", rows.get("pairs.label"))
    if truth is None:
        return Pairs.empty()
    has_come, nothing = protocol.is_known(truth), np.full(len(truth), None, dtype=object)
    is_classes, names = kinds.get("pairs.label") == "pair", protocol.classes(kinds)
    is_numbers = kinds.get("pairs.label") == "pair-number"
    return Pairs(
        predicted=rows["pairs.predicted"] if is_classes else nothing,
        label=rows["pairs.label"] if is_classes else nothing,
        groups={name.removeprefix(_GROUP): values for name, values in rows.items() if name.startswith(_GROUP)},
        scores=np.stack([rows[protocol.SCORES + name] for name in names], axis=1) if names else None,
        predicted_value=rows["pairs.predicted"] if is_numbers else None,
        value=rows["pairs.label"] if is_numbers else None,
        quality=rows.get("pairs.quality"),
        columns={name: values for name, values in _columns(rows, kinds).items() if not name.startswith("output.")},
    ).take(has_come)


def _increment(pane: Columns, kinds: Mapping[str, str], start: datetime) -> Increment:
    """What came under a known id is counted and left out."""
    n = len(next(iter(pane.values())))
    is_again = pane.get("record.id.again", np.zeros(n)) > 0.0
    kept = {name: values[~is_again] for name, values in pane.items()}
    return Increment(
        start=start,
        end=start + timedelta(hours=1),
        columns=_columns(kept, kinds),
        pairs=_pairs(kept, kinds),
        n=n - int(is_again.sum()),
        wrong={name.removeprefix(_WRONG): int(kept[name].sum()) for name in protocol.named(kinds, "fault")},
        arrived=n,
        repeated=int(is_again.sum()),
    )


def _folded(detector: Detector, reference: Reference, panes: Sequence[Columns], kinds: Mapping[str, str], first: datetime) -> list[float]:
    state, scores = detector.start(reference), []
    for at, pane in enumerate(panes):
        state, verdict = detector.step(state, _increment(pane, kinds, first + timedelta(hours=at)))
        scores.append(protocol.NOTHING if verdict.outcome is Outcome.INSUFFICIENT else float(verdict.evidence.log10_e))  # type: ignore[union-attr]  # alarms
    return scores


if __name__ == "__main__":
    asked: dict[str, dict[str, dict[str, Any]]] = protocol.options()["ours"]
    rules = {row: protocol.Rule(Folded(settings), -math.log10(_ALPHA)) for row, settings in asked.items()}
    protocol.main(rules, {"retuned": version("retuned")})
