"""Rules of reference files that only their content can tell: for `retuned check`, which takes the time to read them whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.check.rules import Finding
from daemon.store.reference import load_bound, load_reference
from retrain.types import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import ModelSettings, Settings

_REMEDY = "give Parquet or NDJSON of records as posted to /v1/records, or flat: a column for each input, `predicted` (the answer's class) "
_REMEDY += "or `value` (its number), `score` or `scores`, `at`; of bound rows also what was right: "
_REMEDY += "`label` (a class of `labels`, a number, the wanted text) or, of a judged text, `judgement`"


def findings(settings: Settings) -> list[Finding]:
    """Every file that cannot be read as records, and every one without a row that is of use."""
    return [Finding(("models", i, *f.path), f.value, f.rule, f.remedy) for i, model in enumerate(settings.models) for f in _files(model)]


def _files(model: ModelSettings) -> Iterator[Finding]:
    wanted = model.reference
    try:
        if wanted.kind == "file" and wanted.path is not None:
            load_reference(model, wanted.path, None)
    except Permanent as e:
        yield Finding(("reference", "path"), str(wanted.path), f"must hold records: {e.detail}", _REMEDY)
    try:
        load_bound(model, wanted.bound)
    except Permanent as e:
        yield Finding(("reference", "bound"), str(wanted.bound), f"must hold labelled records: {e.detail}", _REMEDY)
