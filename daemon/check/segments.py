"""Rules of segments: columns that can be told apart by value, something to watch there, and not too many detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.check.rules import Finding, near
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import ModelSettings, Settings

_MOST_IN_SEGMENTS = 400
"""Detectors: each costs about half a millisecond a pane, and all share one rate of false alarms."""


def findings(settings: Settings) -> list[Finding]:
    """Every rule that is not kept."""
    return [Finding(("models", i, *f.path), f.value, f.rule, f.remedy) for i, model in enumerate(settings.models) for f in _segments(model)]


def _segments(model: ModelSettings) -> Iterator[Finding]:
    wanted, at = model.monitors.segments, ("monitors", "segments")
    for i, column in enumerate(wanted.by if wanted else []):
        path = (*at, "by", i)
        if column not in model.columns:
            yield Finding(path, column, "must be one of the model's columns", near(column, model.columns, "columns"))
        elif model.columns[column].kind is not ColumnKind.CATEGORY:
            yield Finding(path, column, "must be of kind category", "post a name in place of a figure (age_band for age, say)")
    if wanted is None:
        return
    names = wanted.inputs.columns if wanted.inputs is not None else "all"
    for i, column in enumerate(names if isinstance(names, list) else []):
        if column not in model.columns:
            remedy = near(column, model.columns, "columns")
            yield Finding((*at, "inputs", "columns", i), column, "must be one of the model's columns", remedy)
    from daemon.decide.monitors.answers import watched_answers  # noqa: PLC0415 (settings without it need no detectors to be checked)
    from daemon.decide.monitors.inputs import watched_inputs  # noqa: PLC0415 (as above)
    from daemon.decide.monitors.performance import by_labels  # noqa: PLC0415 (as above)

    each = len(by_labels(model, has_bound=True)) + len(watched_answers(model, model.subjects()))
    if (n := len(set(wanted.by)) * wanted.most_n * each) > _MOST_IN_SEGMENTS:
        rule = f"makes {n} detectors, {each} a segment; at most {_MOST_IN_SEGMENTS} are watched"
        yield Finding((*at, "most_n"), wanted.most_n, rule, "name fewer columns, or watch fewer values of each")
    found = watched_inputs(model, {}, model.subjects())
    inside = {*found.moves, *found.missing}
    if each == 0 and not any(subject != model.subject_of(c) for c in wanted.by if c in model.columns for subject in inside):
        remedy = "add monitors.performance (of classes: the model's labels), drift of the output or of other columns; or remove segments"
        yield Finding(at, None, "watches labelled records, answers and inputs, and none of these is watched of all records", remedy)
