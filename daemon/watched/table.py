"""What settings mean, before anything runs: every monitor with its rate of false alarms, and the least that it sees within a day."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from daemon.act.send import is_understood, targets_of
from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import promised_days
from daemon.settings_encoder import SUFFIX
from daemon.settings_monitors import LOSSES
from daemon.show.guard import is_loopback
from daemon.store.answers import MOST_CLASSES as MOST_SCORED
from daemon.watched.knob import alpha_of, knob_rows, knob_table, promise
from daemon.watched.rhythm import as_data as rhythm_data
from daemon.watched.rhythm import in_words, look_for_rhythm
from daemon.watched.seen.lines import folded, heading, in_lines
from daemon.watched.segments import known_values, segments_in_words
from daemon.watched.traffic import Traffic, bound_in_words, fairness_in_words, hours_in_words, loss_hours_in_words, soon_of
from detectors.rhythm import Rhythm
from detectors.sequential.column_of_segment import ColumnOfSegment
from detectors.sketches.judged import MOST_CLASSES
from detectors.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from daemon.settings import ModelSettings, Settings
    from daemon.watched.knob import Row
    from detectors.types import Detector

_WIDTH = 140
_HEIGHT = 50
"""Where the output is no terminal."""
_INFORMING = {Kind.INFORMS, Kind.ESTIMATES}
_INDENT = 4
_ASK = "depends on traffic: say how much with --per-day N and --labels-per-day N, or give --records FILE or --ledger"
_MOST_FIGURES = 14
_MOST_NAMES = 20
"""Of models of which the same is true: more are counted; `--json` has all."""


def show_watched(
    settings: Settings,
    file: Path,
    console: Console | None = None,
    *,
    traffic: Traffic = Traffic(),  # noqa: B008 (frozen)
    as_json: bool = False,
) -> None:
    """Print it. `Permanent(BAD_DATA)` when a reference that is needed for what traffic shows can't be read."""
    to = console or Console()
    if as_json:
        told = {m.name: as_data(alike[0], traffic) for alike in _alike(settings, traffic) for m in alike}
        data = {"file": str(file), "models": [{**told[m.name], "name": m.name} for m in settings.models]}
        if to.is_terminal:
            to.print_json(json.dumps(data, allow_nan=False), indent=2)
        else:
            to.out(json.dumps(data, allow_nan=False, indent=2, ensure_ascii=False), highlight=False)
        return
    if not to.is_terminal:
        to = Console(file=to.file, width=_WIDTH, height=_HEIGHT)  # without both it asks for the terminal's at every line
    to.print(f"{escape(str(file))}: valid. {len(settings.models)} model(s), data in {escape(str(settings.data_dir))}", highlight=False)
    for said, names in _told_of(settings, traffic).items():
        _show(to, said, names)
    if settings.executor.kind == "kubernetes":
        store = settings.executor.store
        where = store.url or f"claim {store.claim} at {store.mount}"
        to.print(f"Retrainings run as Kubernetes Jobs of {settings.executor.image}; their files go through {where}.", highlight=False)
    for target in targets_of(settings.notify.urls).values():
        verdict = "is told" if is_understood(target) else "is not understood by apprise: nobody is told by it"
        to.print(f"\n{escape(target.name)} {verdict}", highlight=False)
    if settings.http.token is None and not is_loopback(settings.http.host):
        to.print(f"Nobody can operate the service on {settings.http.host} without a token: set RETUNED_TOKEN.", highlight=False)


def as_data(model: ModelSettings, traffic: Traffic) -> dict[str, Any]:
    """What is shown of a model, for `--json`."""
    detectors = monitors(model, has_bound=model.reference.bound is not None, values=known_values(model, traffic))
    alarming = [d for d in detectors if d.kind is Kind.ALARMS]
    pane_s = model.monitors.pane_s
    promised = promised_days(alarming, pane_s=pane_s)
    soon, recorded = soon_of(model, alarming, traffic), traffic.recorded.get(model.name)
    return {
        "name": model.name,
        "task": model.task,
        "pane_s": pane_s,
        "promised_days": promised if math.isfinite(promised) else None,
        "alarms": [_alarm(d) for d in alarming],
        "informs": [{"detector": d.name, "subject": d.subject} for d in detectors if d.kind in _INFORMING],
        "seen_within_a_day": None if soon is None else [asdict(one) for one in soon[1]],
        "mind": _mind(model, traffic),
        **(rhythm_data(look_for_rhythm(model, recorded)) if recorded is not None else {}),
    }


def _alarm(d: Detector) -> dict[str, Any]:
    return {"detector": d.name, "subject": d.subject, "alpha": alpha_of(d), "evidence": d.evidence.__name__, "cost": d.cost}


class _Told(NamedTuple):
    """What is shown of a model, but for its name."""

    head: str
    promise: str
    knob: tuple[Row, ...]
    sections: tuple[tuple[str, tuple[str, ...]], ...]


def _alike(settings: Settings, traffic: Traffic) -> list[list[ModelSettings]]:
    """Models whose settings differ by their names only, in the order of the first of each; one with recorded traffic stands alone."""
    found: dict[tuple[str, bool], list[ModelSettings]] = {}
    for model in settings.models:
        own = model.name if model.name in traffic.recorded else ""
        key = (model.model_copy(update={"name": own}).model_dump_json(), model.expects_labels())  # a part that is named may be the default
        found.setdefault(key, []).append(model)
    return list(found.values())


def _told_of(settings: Settings, traffic: Traffic) -> dict[_Told, list[str]]:
    """What is to be shown -> the models of which it is true: where there are many, printing takes most of the time."""
    found: dict[_Told, list[str]] = {}
    for alike in _alike(settings, traffic):
        found.setdefault(_told(alike[0], traffic), []).extend(model.name for model in alike)
    return found


def _told(model: ModelSettings, traffic: Traffic) -> _Told:
    values, has_bound = known_values(model, traffic), model.reference.bound is not None
    found = monitors(model, has_bound=has_bound, values=values)
    alarming = [d for d in found if d.kind is Kind.ALARMS]
    informing = [d for d in found if d.kind in _INFORMING]
    explaining = [d for d in found if d.kind is Kind.EXPLAINS]
    soon, recorded = soon_of(model, alarming, traffic), traffic.recorded.get(model.name)
    sections = {"recorded": in_words(model, look_for_rhythm(model, recorded))} if recorded is not None else {}
    if soon is not None:
        sections |= {heading(soon[0]): in_lines(soon[1], alarming, soon[0])}
    else:
        sections |= {"seen within a day": [_ASK], "alarms": [f"{n}: {', '.join(on)}" for n, on in _subjects(alarming).items()]}
    sections |= {
        "mind": _mind(model, traffic),
        "informs, and wakes nobody": _by_subjects(informing),
        "explains an incident": _by_subjects(explaining) or [_unexplained(model)],
    }
    return _Told(
        head=f"({model.task}), a pane of {model.monitors.pane_s:g} s",
        promise=promise(alarming, model),
        knob=knob_rows(model, has_bound=has_bound, values=values),
        sections=tuple((title, tuple(lines)) for title, lines in sections.items()),
    )


def _show(to: Console, told: _Told, names: list[str]) -> None:
    shown = ", ".join(f"[bold]{escape(name)}[/bold]" for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    to.print(f"\n{shown}{more}{', all alike' if len(names) > 1 else ''} {told.head}", highlight=False)
    to.print(Padding(told.promise, (0, 0, 0, 2), expand=False), highlight=False)
    if to.is_terminal:
        to.print(knob_table(told.knob))
    else:
        to.file.write(_plain_table(told.knob, to.width))
    for title, lines in told.sections:
        _print_lines(to, title, lines)


@lru_cache
def _plain_table(rows: tuple[Row, ...], width: int) -> str:
    """Models with columns of the same kinds have the same."""
    console = Console(file=io.StringIO(), width=width, height=_HEIGHT)
    with console.capture() as found:
        console.print(knob_table(rows))
    return found.get()


def _print_lines(to: Console, title: str, lines: Iterable[str]) -> None:
    """Those that fit are written as they are where there is no terminal: printing takes ten times as long as finding out what to say."""
    if to.is_terminal:
        to.print(f"  [bold]{title}[/bold]", highlight=False)
    else:
        to.file.write(f"  {title}\n")
    for line in lines:
        if to.is_terminal or len(line) + _INDENT > to.width or not line.isascii():
            to.print(Padding(escape(line), (0, 0, 0, _INDENT), expand=False), highlight=False)
        else:
            to.file.write(f"{' ' * _INDENT}{line}\n")


def _subjects(detectors: list[Detector]) -> dict[str, list[str]]:
    """Name of a detector -> what it is about; a column within all watched values of another one is said once."""
    found: dict[str, dict[str, int]] = {}
    for d in detectors:
        named = f"{d.column}[{d.within.column.split('.', 1)[1]}=...]" if isinstance(d, ColumnOfSegment) else d.subject
        of_name = found.setdefault(d.name, {})
        of_name[named] = of_name.get(named, 0) + 1
    return {name: [f"{s} x {n}" if n > 1 else s for s, n in some.items()] for name, some in found.items()}


def _by_subjects(detectors: list[Detector]) -> list[str]:
    """Figures that speak for themselves on one line, then what is about the same: "input.age, input.price: ks, psi"."""
    found: dict[str, list[str]] = {}
    plain: list[str] = []
    for name, on in _subjects(detectors).items():
        if all(s.split("[", 1)[0] == name for s in on):
            plain += on
        else:
            found.setdefault(folded(on), []).append(name)
    return ([folded(plain, _MOST_FIGURES)] if plain else []) + [f"{on}: {', '.join(names)}" for on, names in found.items()]


def _unaware(model: ModelSettings) -> list[str]:
    """Monitors that compare all hours alike."""
    unaware = {
        "quality": "quality (but for missing values)",
        "performance": "performance (but for a rise of the loss and a bias)",
        "fairness": "fairness",
    }
    return [words for name, words in unaware.items() if getattr(model.monitors, name) is not None]


def _without_bound(model: ModelSettings, fixed: float | None) -> str:
    """What labels say before the first promotion, which brings bound rows."""
    side = "above" if model.metric() in LOSSES else "below"
    watched = f"only {model.metric()} {side} {fixed:g}" if fixed else "no performance"
    if not model.expects_labels():
        is_open = model.labels_expected is None and not model.task.endswith("classification")
        may = " If labels come, `labels_expected: true` watches a rise of the loss." if is_open else ""
        return f"Without reference.bound {watched} alarms before the first promotion, and no drift can be harmful.{may}"
    rise = "a loss that rises above what earlier labels showed"
    what = f"labels raise an alarm at {model.metric()} {side} {fixed:g} and at {rise}" if fixed else f"labels raise an alarm only at {rise}"
    return f"Without reference.bound, before the first promotion, {what}. A model that was bad from the start raises none."


def _unexplained(model: ModelSettings) -> str:
    """Why nothing explains an incident."""
    if model.reference.bound is None:
        return "nothing: that takes labelled bound rows"
    return f"nothing: that takes performance, and of classes 2 to {MOST_CLASSES} (`labels`)"


def _many_classes(n: int) -> str:
    """What so many classes are not watched by."""
    unread = "" if n <= MOST_SCORED else f" Beyond {MOST_SCORED} scores are not read: nothing that needs them is watched."
    lost = "estimates before labels, label shift, cause of an incident, ROC AUC and calibration error of the window"
    return f"{n} classes: with more than {MOST_CLASSES} there are no {lost}.{unread}"


def _mind(model: ModelSettings, traffic: Traffic) -> list[str]:
    """What a person should know, by files, traffic and settings."""
    by_traffic = [*hours_in_words(model, traffic), *segments_in_words(model, traffic), *fairness_in_words(model, traffic)]
    return [*bound_in_words(model), *loss_hours_in_words(model), *by_traffic, *notes(model)]


def notes(model: ModelSettings) -> list[str]:
    """What a person should know about a model's settings, one sentence each."""
    found = []
    performance = model.monitors.performance
    if model.monitors.quality is not None:
        found.append("Alarms of quality tell people; they never train.")
    fixed = None if performance is None else performance.maximum if model.metric() in LOSSES else performance.minimum
    is_judged = bool(model.labels) or not model.task.endswith("classification")
    if model.reference.kind == "learn":
        found.append(
            f"Reference: learned from the first {model.reference.learn_days:g} days and at least {model.reference.learn_n} records; "
            "no drift is told before."
        )
    if model.reference.rhythm is not Rhythm.NONE and (unaware := _unaware(model)):
        named = " and ".join(unaware).capitalize()
        found.append(f"Hours are UTC. {named}: all hours are compared alike; look by `retuned replay` whether that alarms falsely.")
    if performance is not None and model.reference.bound is None:
        found.append(_without_bound(model, fixed))
    if performance is not None and not is_judged:
        found.append("Without labels (the classes) performance is not watched.")
    if performance is not None and model.task.endswith("classification") and len(model.labels) > MOST_CLASSES:
        found.append(_many_classes(len(model.labels)))
    for subject, encoder in model.encoders().items():
        texts, most = subject.removesuffix(SUFFIX), encoder.most_n
        found.append(f"{subject}: at most {most} texts of {texts} a pane are embedded by {encoder.model}, in a process beside the service.")
    if model.retrain is None:
        found.append("Without retrain the model is watched only.")
    elif model.retrain.old_domain is None:
        found.append("Without retrain.old_domain no gate looks whether a candidate has forgotten the first domain.")
    return found
