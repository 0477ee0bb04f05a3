"""What settings mean, before anything runs: every monitor with its rate of false alarms, what it assumes, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from daemon.act.send import is_understood, targets_of
from daemon.decide.monitors.all import monitors
from daemon.settings_monitors import LOSSES
from daemon.show.guard import is_loopback
from detectors.types import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.settings import ModelSettings, Settings
    from detectors.types import Detector

_DAY_S = 86400.0
_WIDTH = 140
"""Where the output is no terminal."""


def show_watched(settings: Settings, file: Path, console: Console | None = None) -> None:
    """Print it."""
    to = console or Console()
    if not to.is_terminal:
        to = Console(file=to.file, width=_WIDTH)
    to.print(f"{escape(str(file))}: valid. {len(settings.models)} model(s), data in {escape(str(settings.data_dir))}", highlight=False)
    for model in settings.models:
        _show(to, model)
    if settings.executor.kind == "kubernetes":
        store = settings.executor.store
        where = store.url or f"claim {store.claim} at {store.mount}"
        to.print(f"Retrainings run as Kubernetes Jobs of {settings.executor.image}; their files go through {where}.", highlight=False)
    for target in targets_of(settings.notify.urls).values():
        verdict = "is told" if is_understood(target) else "is not understood by apprise: nobody is told by it"
        to.print(f"\n{escape(target.name)} {verdict}", highlight=False)
    if settings.http.token is None and not is_loopback(settings.http.host):
        to.print(f"Nobody can operate the service on {settings.http.host} without a token: set RETUNED_TOKEN.", highlight=False)


def _show(to: Console, model: ModelSettings) -> None:
    found = monitors(model, has_bound=model.reference.bound is not None)
    alarming = [d for d in found if d.kind is Kind.ALARMS]
    informing = [d for d in found if d.kind is Kind.INFORMS]
    to.print(f"\n[bold]{escape(model.name)}[/bold] ({model.task}), a pane of {model.monitors.pane_s:g} s", highlight=False)
    table = Table("alarms", "by", "false alarms", box=None, header_style="bold", padding=(0, 2, 0, 2))
    for d in alarming:
        table.add_row(escape(d.subject), d.name, alarm_rate(d, model.monitors.pane_s))
    to.print(table)
    subjects: dict[str, list[str]] = {}
    for d in informing:
        subjects.setdefault(d.name, []).append(d.subject)
    costs = {d.name: d.cost for d in found}
    sections = {
        "informs": [f"{name}: {', '.join(on)}" for name, on in subjects.items()],
        "costs": [f"{name}: {cost}" for name, cost in costs.items()],
        "mind": notes(model),
    }
    for title, lines in sections.items():
        to.print(f"  [bold]{title}[/bold]", highlight=False)
        for line in lines:
            to.print(Padding(escape(line), (0, 0, 0, 4), expand=False), highlight=False)


def notes(model: ModelSettings) -> list[str]:
    """What a person should know about a model's settings, one sentence each."""
    found = []
    drift, performance = model.monitors.drift, model.monitors.performance
    if drift is not None:
        found.append(f"All drift monitors together: one false alarm in {drift.mean_days_between_false_alarms:g} days on average.")
    if model.monitors.quality is not None:
        days = model.monitors.quality.mean_days_between_false_alarms
        found.append(f"All quality monitors together: one false alarm in {days:g} days on average; they never train.")
    fixed = None if performance is None else performance.maximum if model.metric() in LOSSES else performance.minimum
    is_judged = bool(model.labels) or not model.task.endswith("classification")
    if performance is not None and is_judged and (fixed is not None or model.reference.bound is not None):
        days = performance.mean_days_between_false_alarms
        found.append(f"All performance and risk monitors together: one false alarm in {days:g} days on average.")
    if model.reference.kind == "learn":
        found.append(
            f"Reference: learned from the first {model.reference.learn_days:g} days and at least {model.reference.learn_n} records; "
            "no drift is told before."
        )
    if performance is not None and model.reference.bound is None:
        side = "above" if model.metric() in LOSSES else "below"
        watched = f"only {model.metric()} {side} {fixed:g}" if fixed else "no performance"
        found.append(f"Without reference.bound {watched} alarms before the first promotion, and no drift can be harmful.")
    if performance is not None and not is_judged:
        found.append("Without labels (the classes) performance is not watched.")
    if model.retrain is None:
        found.append("Without retrain the model is watched only.")
    elif model.retrain.old_domain is None:
        found.append("Without retrain.old_domain no gate looks whether a candidate has forgotten the first domain.")
    return found


def alarm_rate(detector: Detector, pane_s: float) -> str:
    """How often it is wrong, in a person's units."""
    if detector.kind is Kind.INFORMS:
        return "informs only"
    alpha = float(getattr(detector, "alpha", 0.0))
    if detector.evidence.__name__ == "EValue":
        return f"ever in an epoch: at most {alpha:.3g}"
    return f"one in {pane_s / alpha / _DAY_S:.0f} days" if alpha else "as it says"
