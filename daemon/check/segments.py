"""Rules of segments: columns that can be told apart by value, labels or answers to watch, and not too many detectors."""

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
    from daemon.decide.monitors.answers import watched_answers  # noqa: PLC0415 (settings without it need no detectors to be checked)
    from daemon.decide.monitors.performance import by_labels  # noqa: PLC0415 (as above)

    each = len(by_labels(model, has_bound=True)) + len(watched_answers(model, model.subjects()))
    if (n := len(set(wanted.by)) * wanted.most_n * each) > _MOST_IN_SEGMENTS:
        rule = f"makes {n} detectors, {each} a segment; at most {_MOST_IN_SEGMENTS} are watched"
        yield Finding((*at, "most_n"), wanted.most_n, rule, "name fewer columns, or watch fewer values of each")
    if each == 0:
        remedy = "add monitors.performance (of classes: the model's labels) or the output to monitors.drift; or remove segments"
        yield Finding(at, None, "watches labelled records and answers, and neither performance nor drift of the output is watched", remedy)
