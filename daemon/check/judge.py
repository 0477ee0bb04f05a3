"""Rules of a judge who scores all answers: answers that are judged, and a column of numbers for his scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.check.rules import Finding, near
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import ModelSettings, Settings


def findings(settings: Settings) -> list[Finding]:
    """Every rule that is not kept."""
    return [Finding(("models", i, *f.path), f.value, f.rule, f.remedy) for i, model in enumerate(settings.models) for f in _judge(model)]


def _judge(model: ModelSettings) -> Iterator[Finding]:
    wanted, path = model.monitors.performance, ("monitors", "performance", "predicted")
    named = wanted.predicted if wanted is not None else False
    if not isinstance(named, str):
        return
    if model.metric() != "score":
        yield Finding(path, named, "names a judge's column, which is of judged answers only", "write `true` (metric accuracy) or `false`")
    elif named not in model.columns:
        yield Finding(path, named, "must be one of the model's columns", near(named, model.columns, "columns"))
    elif model.columns[named].kind is not ColumnKind.NUMERIC:
        yield Finding(path, named, "must be of kind numeric", f"write `{named}: numeric` and post the judge's score as a number")
