"""Every detector of a model. Pure; `retuned check` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.answers import answers
from daemon.decide.monitors.causes import causes
from daemon.decide.monitors.drift import drift
from daemon.decide.monitors.estimates import estimates
from daemon.decide.monitors.fairness import fairness
from daemon.decide.monitors.inputs import inputs
from daemon.decide.monitors.performance import performance
from daemon.decide.monitors.quality import quality
from daemon.decide.monitors.rates import Group, spread
from daemon.decide.monitors.segments import Values, segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.settings import ModelSettings
    from detectors.types import Detector


_NO_VALUES: Values = {}


def groups(model: ModelSettings, *, has_bound: bool, seen: Iterable[str] | None = None, values: Values = _NO_VALUES) -> list[Group]:
    """Its detectors with any alpha.

    `has_bound`: labelled rows for the source bound exist. `seen`: the reference's subjects, None = all. `values`: the watched segments.
    """
    known, wanted = set(seen) if seen is not None else set(model.subjects()), model.monitors
    has_scores = seen is None or "output.scores" in known
    judged = performance(model, has_bound=has_bound, has_scores=has_scores, has_judge=model.judge() in known)
    judged += estimates(model, has_bound=has_bound, has_scores=has_scores)
    return [
        Group(name="drift", detectors=drift(model, known) + answers(model, values, known), days=wanted.own_days("drift")),
        Group(name="performance", detectors=judged, days=wanted.own_days("performance")),
        Group(name="segments", detectors=segments(model, values, has_bound=has_bound), days=wanted.own_days("segments")),
        Group(name="fairness", detectors=fairness(model), alpha=wanted.fairness.alpha if wanted.fairness else None),
        Group(name="cause", detectors=causes(model, has_bound=has_bound, has_scores=has_scores)),
        Group(name="quality", detectors=quality(model, known), days=wanted.own_days("quality")),
        Group(name="inputs", detectors=inputs(model, values, known), days=wanted.own_days("inputs")),
    ]


def monitors(model: ModelSettings, *, has_bound: bool, seen: Iterable[str] | None = None, values: Values = _NO_VALUES) -> list[Detector]:
    """Every detector of a model, each with its share of the model's rate of false alarms."""
    found = groups(model, has_bound=has_bound, seen=seen, values=values)
    wanted = model.monitors
    return spread(found, days=wanted.mean_days_between_false_alarms, pane_s=wanted.pane_s, alphas=wanted.alphas)
