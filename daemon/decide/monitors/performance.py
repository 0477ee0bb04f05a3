"""Performance and risk by labels that come late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from detectors.registry import build

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from daemon.settings_monitors import PerformanceSettings
    from detectors.types import Detector

_FLOORS = {"f1": "f1_floor", "precision": "precision_floor", "recall": "recall_floor", "accuracy": "accuracy_floor"}


def performance(model: ModelSettings, *, has_bound: bool) -> list[Detector]:
    """`has_bound`: labelled rows for the source bound exist."""
    wanted = model.monitors.performance
    if wanted is None or not model.task.endswith("classification") or not model.labels:
        return []
    found = [build("accuracy", minimum=wanted.minimum)]
    found += [build(name, label=label, minimum=wanted.minimum) for name in ("precision", "recall", "f1") for label in model.labels]
    floors = _floor_arguments(model, wanted) if wanted.minimum is not None or (has_bound and wanted.max_drop is not None) else []
    n = len(floors) + int(has_bound)
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=n)
    found += [build(_FLOORS[wanted.metric], alpha=alpha, delta=DELTA, **arguments) for arguments in floors]
    if has_bound:
        found.append(build("risk_change", alpha=alpha, delta=DELTA, tolerance=wanted.tolerance))
        found.append(build("risk", alpha=0.01, delta=DELTA / 2, tolerance=wanted.tolerance))
    return found


def _floor_arguments(model: ModelSettings, wanted: PerformanceSettings) -> list[dict[str, object]]:
    limit: dict[str, object] = {"minimum": wanted.minimum, "max_drop": None if wanted.minimum is not None else wanted.max_drop}
    return [limit] if wanted.metric == "accuracy" else [{**limit, "label": label} for label in model.labels]
