"""Every detector of a model. Pure; `retuned check` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.drift import drift
from daemon.decide.monitors.estimates import estimates
from daemon.decide.monitors.fairness import fairness
from daemon.decide.monitors.performance import performance
from daemon.decide.monitors.quality import quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.settings import ModelSettings
    from detectors.types import Detector


def monitors(model: ModelSettings, *, has_bound: bool, seen: Iterable[str] | None = None) -> list[Detector]:
    """Every detector of a model. `has_bound`: labelled rows for the source bound exist; `seen`: the reference's subjects, None = all."""
    known = set(seen) if seen is not None else set(model.subjects())
    has_scores = seen is None or "output.scores" in known
    judged = performance(model, has_bound=has_bound, has_scores=has_scores)
    early = estimates(model, has_bound=has_bound, has_scores=has_scores)
    return [*drift(model, known), *judged, *early, *fairness(model), *quality(model, known)]
