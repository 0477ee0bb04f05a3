"""A model's traffic as `retuned check` knows it: recorded, or said by a person; and what stands for a reference before there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.decide.monitors.fairness import beyond_judged
from daemon.decide.monitors.performance import by_labels
from daemon.store.reference import load_bound, load_reference
from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.rhythm import HOUR_S, LEAST_ROWS, Rhythm, hours_of
from detectors.sequential.hour_witness import LEAST_ROWS_N
from detectors.sequential.rise_state import told_apart
from detectors.sketches.hits import Hits
from detectors.sketches.records import AT, CONTENT
from detectors.sketches.summary import summarise
from detectors.thinning import drawn_rows
from detectors.types import ColumnKind, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.watched.recorded import Recorded
    from daemon.watched.seen.day import Soon
    from detectors.types import Detector

_WEEK_H, _DAY_S = 168, 86_400.0


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Of all models; what a person says takes the place of what was recorded."""

    recorded: Mapping[str, Recorded] = field(default_factory=dict)
    per_day: int | None = None
    labels_per_day: int | None = None


def soon_of(model: ModelSettings, alarming: Iterable[Detector], traffic: Traffic) -> tuple[Day, list[Soon]] | None:
    """A day's traffic and what is seen in it; None = the traffic is not known. `Permanent(BAD_DATA)` when the reference can't be read."""
    recorded = traffic.recorded.get(model.name)
    per_day = float(traffic.per_day) if traffic.per_day is not None else recorded.per_day if recorded is not None else None
    if per_day is None:
        return None
    labels: float | None = traffic.labels_per_day
    if labels is None and recorded is not None and recorded.labels_n:
        labels = recorded.labels_per_day
    day = Day(
        records_n=per_day * model.sample_ratio,
        labels_n=None if labels is None else labels * model.sample_ratio,
        all_n=per_day,
        panes_n=_DAY_S / model.monitors.pane_s,
        is_supposed=recorded is None and model.reference.path is None,
    )
    return day, soon_seen(alarming, standing_reference(model, recorded, per_day), day)


def bound_in_words(model: ModelSettings) -> list[str]:
    """What the labelled bound rows lack. `Permanent(BAD_DATA)` when they can't be read, or are of no use."""
    return [f"reference.bound: {said}" for said in load_bound(model, model.reference.bound).notes]


def hours_in_words(model: ModelSettings, traffic: Traffic) -> list[str]:
    """With a rhythm: how many hours have hardly a reference row, where that is known beforehand. `Permanent(BAD_DATA)` likewise."""
    rhythm, recorded = model.reference.rhythm, traffic.recorded.get(model.name)
    if rhythm is Rhythm.NONE or (model.reference.path is None and recorded is None):
        return []
    ats = standing_reference(model, recorded, recorded.per_day if recorded is not None else 0.0).columns[AT]
    hours = hours_of(ats, rhythm)
    if (hours < 0).all():
        return [f"The rows of {model.reference.path} have no time (`at`), and reference.rhythm is set: no column is watched."]
    rows = np.bincount(hours[hours >= 0], minlength=rhythm.hours_n)
    few, thin = (int((rows < least).sum()) for least in (LEAST_ROWS, LEAST_ROWS_N))
    of = f"of {rhythm.hours_n} ({rhythm.name_of_hour})"
    own = f"{few} {of} have fewer than {LEAST_ROWS} reference rows: they are compared with their own first records"
    told = [f"{own}, and a change from before these is not seen."] if few else []
    if thin and {*model.subjects().values()} & {ColumnKind.TEXT, ColumnKind.EMBEDDING}:
        told.append(f"{thin} {of} have fewer than {LEAST_ROWS_N} reference rows: words and embeddings are not watched at these.")
    return told


def fairness_in_words(model: ModelSettings, traffic: Traffic) -> list[str]:
    """Protected columns with more groups than alarms judge, where that is known beforehand. `Permanent(BAD_DATA)` likewise."""
    recorded = traffic.recorded.get(model.name)
    if model.monitors.fairness is None or (model.reference.path is None and recorded is None):
        return []
    return beyond_judged(model, standing_reference(model, recorded, recorded.per_day if recorded is not None else 0.0).columns)


def loss_hours_in_words(model: ModelSettings) -> list[str]:
    """With a rhythm: what a loss is compared within, where that is less than the rhythm. `Permanent(BAD_DATA)` likewise."""
    rhythm, file = model.reference.rhythm, model.reference.bound
    rises = [name for name, _ in by_labels(model, has_bound=file is not None) if name.endswith("_rise")]
    if rhythm is Rhythm.NONE or not rises:
        return []
    at = load_bound(model, file).pairs.at
    n, timed_n = (0, 0) if at is None else (len(at), int(np.isfinite(at).sum()))
    apart = told_apart(rhythm, n, timed_n)
    if apart is Rhythm.NONE:
        return [f"The rows of {file} have no time (`at`): all hours are held to one limit, so that those of harder cases are a rise."]
    told = (
        [f"{n - timed_n} of {n} bound rows have no time (`at`): a rise of the loss is not looked for beside them."] if timed_n < n else []
    )
    if apart is not rhythm:
        least = f"by the {rhythm.name_of_hour} it takes {LEAST_ROWS * rhythm.hours_n:,} bound rows with a time, and there are {timed_n:,}"
        told.append(f"Losses are compared within the {apart.name_of_hour}: {least}.")
    return told


def standing_reference(model: ModelSettings, recorded: Recorded | None, per_day: float) -> Reference:
    """The user's file, recorded traffic, or as many rows as the settings will keep; and the labelled bound rows that they name."""
    wanted = model.reference
    if wanted.kind == "file" and wanted.path is not None:
        return load_reference(model, wanted.path, wanted.bound)
    bound = load_bound(model, wanted.bound).pairs
    n = min(wanted.max_n, max(wanted.learn_n, int(per_day * model.sample_ratio * wanted.learn_days)))
    kinds = model.subjects()
    if recorded is not None:
        rows = drawn_rows(len(recorded.ats), n)
        columns = {s: values[rows] for s, values in recorded.columns.items() if s in kinds} | {AT: recorded.ats[rows]}
    else:
        columns = stand_in(kinds, model.labels, n)
    columns.setdefault(CONTENT, np.arange(len(columns[AT])))  # which contents were repeated is not recorded
    known = {s: kinds[s] for s in columns if s in kinds}
    readable = {"wrong": Hits(n=len(columns[AT]))}  # nor which values were not
    sketches = {s: {**of, **readable} for s, of in summarise(columns, known).items()}
    return Reference(columns=columns, kinds=known, sketches=sketches, bound=bound, digest="standing")


def stand_in(kinds: Mapping[str, ColumnKind], labels: Sequence[str], n: int) -> dict[str, NDArray[Any]]:
    """As many rows as will be learned, evenly over a week, where nothing but that is known.

    Ranks know no scale: any numbers will do. Half of a category's rows have one value, answers have each of the classes as often.
    """
    made: dict[ColumnKind, NDArray[Any]] = {
        ColumnKind.NUMERIC: np.arange(n, dtype=np.float64),
        ColumnKind.CATEGORY: _cycled(["one", "other"], n),
        ColumnKind.TEXT: np.full(n, "text", dtype=object),
        ColumnKind.EMBEDDING: np.zeros((n, 1), dtype=np.float32),
    }
    columns = {s: _cycled(labels, n) if s == "output.label" and labels else made[kind] for s, kind in kinds.items()}
    return columns | {AT: HOUR_S * _WEEK_H / n * np.arange(n)}


def _cycled(values: Sequence[str], n: int) -> NDArray[np.object_]:
    return np.asarray(values, dtype=object)[np.arange(n) % len(values)]
