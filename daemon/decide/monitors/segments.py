"""Loss and performance within the segments of a column: whether the model got worse in one shop while the whole hardly moved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.performance import by_labels, most_weight
from daemon.decide.monitors.rates import alpha_per_pane
from detectors.registry import build
from detectors.sequential.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from detectors.types import Detector

_MOST_CHARS = 64
"""A longer value is no name of a segment: it would be a label of metrics and a subject in messages."""

Values = dict[str, tuple[str, ...]]
"""Subject of a column -> the values that are watched, the most frequent first."""


def watched_values(model: ModelSettings, columns: Mapping[str, NDArray[Any]]) -> Values:
    """The most frequent of the reference's values, as many as the settings allow and each with enough rows. `columns`: the reference's."""
    wanted = model.monitors.segments
    if wanted is None:
        return {}
    counted = {subject: _counted(columns, subject) for subject in model.segments()}
    return {
        subject: tuple(
            value for value, n in sorted(found.items(), key=lambda one: (-one[1], one[0]))[: wanted.most_n] if n >= wanted.least_n
        )
        for subject, found in counted.items()
    }


def left_out(values: Values, columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, float]]:
    """Subject -> (values of the reference that are not watched, their share of its rows)."""
    counted = {subject: _counted(columns, subject) for subject in values}
    rest = {s: {v: n for v, n in found.items() if v not in values[s]} for s, found in counted.items()}
    return {s: (len(found), sum(found.values()) / max(1, len(columns[s]))) for s, found in rest.items() if found}


def segments_of(model: ModelSettings, values: Values) -> list[Segment]:
    """Every watched value of every column."""
    wanted = model.monitors.segments
    if wanted is None:
        return []
    return [Segment(column=column, value=value, least_n=wanted.least_n) for column, found in values.items() for value in found]


def segments(model: ModelSettings, values: Values, *, has_bound: bool) -> list[Detector]:
    """What alarms of all labelled records, of those of each segment."""
    wanted, built = model.monitors.segments, by_labels(model, has_bound=has_bound)
    if wanted is None or not built:
        return []
    within = segments_of(model, values)
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=len(within) * len(built))
    common = {"alpha": alpha, "most_weight": most_weight(model)}
    return [build(name, within=one, **common, **settings) for one in within for name, settings in built]


def _counted(columns: Mapping[str, NDArray[Any]], subject: str) -> Counter[str]:
    values = columns[subject].tolist() if subject in columns else []
    return Counter(str(value) for value in values if value is not None and len(str(value)) <= _MOST_CHARS)
