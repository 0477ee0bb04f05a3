"""Drift of columns: those that inform and those that alarm, by the kind of column."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from daemon.settings_encoder import SUFFIX
from detectors.registry import build, detector_class
from detectors.rhythm import Rhythm
from detectors.types import ColumnKind, Eats

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from daemon.settings import ModelSettings
    from detectors.types import Detector

_ALPHA = 0.01
"""Of one look, for tests that inform."""
_SEQUENTIAL = {
    ColumnKind.NUMERIC: ("conformal_numeric",),
    ColumnKind.CATEGORY: ("conformal_category",),
    ColumnKind.TEXT: ("text_figures", "text_witness"),
    ColumnKind.EMBEDDING: ("embedding_witness",),
}


def watched_kinds(model: ModelSettings, known: Container[str]) -> dict[str, ColumnKind]:
    """Subject -> kind of the columns that are watched, of those that the reference knows; {} = drift is not watched."""
    wanted = model.monitors.drift
    if wanted is None:
        return {}
    kinds = {s: k for s, k in model.subjects().items() if s in known}
    kinds |= {s: ColumnKind.EMBEDDING for s in model.encoders() if s.removesuffix(SUFFIX) in kinds}
    if wanted.columns != "all":
        kinds = {s: k for s, k in kinds.items() if {s, s.split(".", 1)[1], *_texts_of(s)} & {*wanted.columns}}
    return kinds


def drift(model: ModelSettings, known: Container[str]) -> list[Detector]:
    """Of the columns that the reference knows."""
    wanted, kinds = model.monitors.drift, watched_kinds(model, known)
    if wanted is None:
        return []
    together = _together(model, kinds)
    n = sum(len(_SEQUENTIAL[kind]) for kind in kinds.values()) + bool(together)
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=n)
    informing = [
        _built(name, column=subject, alpha=_ALPHA)
        for subject, kind in kinds.items()
        for name in wanted.statistics
        if Eats(kind) in detector_class(name).eats
    ]
    common = {"alpha": alpha, "delta": DELTA, "rhythm": model.reference.rhythm}
    alarming = [build(name, column=subject, **common) for subject, kind in kinds.items() for name in _SEQUENTIAL[kind]]
    if together:
        alarming.append(build("domain_classifier", columns=together, **common))
    return informing + alarming


def _built(name: str, **settings: Any) -> Detector:  # noqa: ANN401 (each detector has settings of its own)
    """With those of the settings that it has: a distance needs no alpha."""
    own = {f.name for f in fields(detector_class(name))}
    return build(name, **{key: value for key, value in settings.items() if key in own})


def _texts_of(subject: str) -> set[str]:
    """Who names a text column means its embedding too."""
    texts = subject.removesuffix(SUFFIX)
    return set() if texts == subject else {texts, texts.split(".", 1)[1]}


def _together(model: ModelSettings, kinds: Mapping[str, ColumnKind]) -> tuple[str, ...]:
    """Columns that are also watched as a table; none where there are not two, or nobody wants it."""
    wanted = model.monitors.drift
    is_usual = model.task.startswith("tabular") and model.reference.rhythm is Rhythm.NONE  # of an hour alone it sees gross shifts only
    if wanted is None or not (is_usual if wanted.together is None else wanted.together):
        return ()
    found = tuple(subject for subject, kind in kinds.items() if kind in {ColumnKind.NUMERIC, ColumnKind.CATEGORY})
    return found if len(found) > 1 else ()
