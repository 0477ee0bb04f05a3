"""Quality of the data: of columns, of records, of their traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from detectors.registry import build
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Container

    from daemon.settings import ModelSettings
    from daemon.settings_monitors import QualitySettings
    from detectors.types import Detector

_FAULTS = {
    ColumnKind.NUMERIC: ("missing", "wrong_type", "out_of_range"),
    ColumnKind.CATEGORY: ("missing", "wrong_type", "unseen_category"),
    ColumnKind.TEXT: ("missing", "wrong_type"),
    ColumnKind.EMBEDDING: ("missing", "wrong_type"),
}
_RATES = frozenset({"missing", "wrong_type", "out_of_range", "unseen_category", "duplicate_content", "duplicate_id"})
"""These have, beside the detector that informs, one that alarms: the same name and `_rise`."""


def quality(model: ModelSettings, known: Container[str]) -> list[Detector]:
    """Of the columns that the reference knows, and of records as such."""
    wanted = model.monitors.quality
    if wanted is None:
        return []
    wishes = _wishes(model, wanted, known)
    own = {"missing": {"rhythm": model.reference.rhythm}}
    rates = [(f"{name}_rise", {**settings, **own.get(name, {})}) for name, settings in wishes if name in _RATES]
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=len(rates))
    informing = [build(name, **settings) for name, settings in wishes]
    return informing + [build(name, alpha=alpha, **settings) for name, settings in rates]


def _wishes(model: ModelSettings, wanted: QualitySettings, known: Container[str]) -> list[tuple[str, dict[str, Any]]]:
    """(detector that informs, its settings)."""
    shared: dict[str, Any] = {"tolerance": wanted.tolerance, "delta": DELTA}
    found: list[tuple[str, dict[str, Any]]] = [
        ("duplicate_content", shared),
        ("duplicate_id", {**shared, "tolerance": wanted.repeated_ids}),
        ("staleness", {"limit_s": wanted.stale_after_s}),
        ("traffic", {"limit": wanted.traffic_ratio}),
    ]
    for subject, kind in watched_faults(model, known).items():
        column = model.columns[subject.split(".", 1)[1]]
        for fault in _FAULTS[kind]:
            own = {"minimum": column.minimum, "maximum": column.maximum, "range_tolerance": wanted.range_tolerance}
            found.append((fault, {"column": subject, **shared, **(own if fault == "out_of_range" else {})}))
        if kind in {ColumnKind.NUMERIC, ColumnKind.CATEGORY}:
            found.append(("constant", {"column": subject}))
        if kind is ColumnKind.CATEGORY:
            found.append(("cardinality", {"column": subject, "limit": wanted.cardinality_ratio}))
    return found


def watched_faults(model: ModelSettings, known: Container[str]) -> dict[str, ColumnKind]:
    """Subject -> kind of the columns whose faults are counted, of those that the reference knows; {} = quality is not watched."""
    wanted = model.monitors.quality
    if wanted is None:
        return {}
    inputs = {s: kind for s, kind in model.subjects().items() if s in known and not s.startswith("output.")}
    return inputs if wanted.columns == "all" else {s: kind for s, kind in inputs.items() if s.split(".", 1)[1] in wanted.columns}
