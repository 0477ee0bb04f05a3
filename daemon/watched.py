"""What settings mean, before anything runs: every monitor with its rate of false alarms, what it assumes, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from daemon.decide.monitors import monitors
from daemon.show.guard import is_loopback
from detectors.types import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.settings import ModelSettings, Settings
    from detectors.types import Detector

_DAY_S = 86400.0


def show_watched(settings: Settings, file: Path, console: Console | None = None) -> None:
    """Print it."""
    to = console or Console(soft_wrap=False)
    to.print(f"{escape(str(file))}: valid. {len(settings.models)} model(s), data in {escape(str(settings.data_dir))}", highlight=False)
    for model in settings.models:
        to.print(_table(model))
        for sentence in notes(model):
            to.print(f"  {escape(sentence)}", highlight=False)
    if settings.http.token is None and not is_loopback(settings.http.host):
        to.print(f"Nobody can operate the service on {settings.http.host} without a token: set RETUNED_TOKEN.", highlight=False)


def notes(model: ModelSettings) -> list[str]:
    """What a person should know about a model's settings, one sentence each."""
    found = []
    if model.reference.kind == "learn":
        found.append(
            f"Reference: learned from the first {model.reference.learn_days:g} days and at least {model.reference.learn_n} records; "
            "no drift is told before."
        )
    performance = model.monitors.performance
    if performance is not None and model.reference.bound is None:
        watched = f"only {performance.metric} below {performance.minimum:g}" if performance.minimum else "no performance"
        found.append(f"Without reference.bound {watched} alarms before the first promotion, and no drift can be harmful.")
    if performance is not None and not model.labels:
        found.append("Without labels (the classes) performance is not watched.")
    if model.retrain is None:
        found.append("Without retrain the model is watched only.")
    elif model.retrain.old_domain is None:
        found.append("Without retrain.old_domain that gate cannot judge, so a person is asked before every promotion.")
    return found


def alarm_rate(detector: Detector, pane_s: float) -> str:
    """How often it is wrong, in a person's units."""
    if detector.kind is Kind.INFORMS:
        return "informs only"
    alpha = float(getattr(detector, "alpha", 0.0))
    if detector.evidence.__name__ == "EValue":
        return f"ever in an epoch: at most {alpha:.3g}"
    return f"one in {pane_s / alpha / _DAY_S:.0f} days" if alpha else "as it says"


def _table(model: ModelSettings) -> Table:
    title = f"{model.name} ({model.task}), a pane of {model.monitors.pane_s:g} s"
    table = Table(title=escape(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in ("subject", "detector", "false alarms", "cost"):
        table.add_column(column, overflow="fold")
    for d in monitors(model, has_bound=model.reference.bound is not None):
        table.add_row(escape(d.subject), d.name, alarm_rate(d, model.monitors.pane_s), escape(d.cost))
    return table
