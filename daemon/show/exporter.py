"""One Prometheus collector over the latest snapshot: a scrape computes nothing and never waits for a tick."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from daemon.decide.absorbing import Absorbing
from daemon.decide.cause import Harm, Shift
from daemon.decide.policy import Sense, TriggerKind
from daemon.decide.run import ENDED, State
from daemon.show.metrics import METRICS, MetricType
from daemon.store import delays
from daemon.store.champions import Move, Stranger
from daemon.store.embed.encoder import State as EncoderState
from daemon.store.embed.panes import Told
from daemon.store.judgements import Judged
from daemon.store.outbox import Sent, What
from daemon.store.retention import Why
from detectors.types import Outcome
from retrain.types import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric as Family

    from daemon.show.views import EncoderView, Health, ModelView, Snapshot, VerdictView
    from detectors.fairness.groups import GroupFigure

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Buckets = tuple[list[tuple[str, float]], float]
"""A histogram: cumulated counts by upper end, and the sum."""
Sample = tuple[str, tuple[str, ...], float | Buckets]
"""Name without the prefix `retuned_`, label values in the table's order, value."""
_FAMILIES = {
    MetricType.GAUGE: GaugeMetricFamily,
    MetricType.COUNTER: CounterMetricFamily,
    MetricType.HISTOGRAM: HistogramMetricFamily,
}


class Exporter(Collector):
    """`collect()` for Prometheus; a registry of its own."""

    def __init__(self, newest: Callable[[], Snapshot]) -> None:
        self._newest = newest
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def describe(self) -> Iterable[Family]:
        """Nothing to check: the names are fixed by the table."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every metric of the table, also one without a sample: a dashboard then finds its name."""
        found: dict[str, list[Sample]] = {}
        for sample in samples(self._newest()):
            found.setdefault(f"retuned_{sample[0]}", []).append(sample)
        for metric in METRICS:
            family = _FAMILIES[metric.type](metric.name, metric.help, labels=metric.labels)
            for _, labels, value in found.pop(metric.name, []):
                family.add_metric(labels, *(value if isinstance(value, tuple) else (value,)))
            yield family
        if found:
            msg = f"not in the table of metrics: {', '.join(sorted(found))}; add a line to daemon/show/metrics.py"
            raise LookupError(msg)

    def text(self) -> bytes:
        """The exposition format, UTF-8."""
        return generate_latest(self.registry)


def samples(snapshot: Snapshot) -> Iterator[Sample]:
    """Every sample of a snapshot."""
    for outcome in Sent:
        yield "notifications_total", (outcome.value,), snapshot.unassigned.get("notifications", {}).get(outcome.value, 0)
    waiting = snapshot.notification_oldest_at
    yield "notification_lag_seconds", (), 0.0 if waiting is None else max(0.0, snapshot.at - waiting)
    yield "service_info", (snapshot.url, snapshot.version), 1.0
    yield from _health(snapshot.health)
    yield from _counted("", snapshot.unassigned)
    for model in snapshot.models:
        yield from _traffic(model, snapshot.health)
        yield from _decisions(model)
        yield from _champion(model)
        yield from _incidents(model, snapshot.at)
        yield from _queues(model, snapshot)
        yield from _kept(model, snapshot)
        yield from _groups(model.name, snapshot.health.groups.get(model.name, ()))
        for verdict in model.verdicts:
            yield from _figure(model.name, verdict)


def _figure(model: str, verdict: VerdictView) -> Iterator[Sample]:
    on = (model, verdict.detector, verdict.subject)
    for bound in ("value", "low", "high"):
        yield "figure_value", (*on, bound), getattr(verdict, bound)
    if verdict.limit is not None:
        yield "figure_limit", on, verdict.limit
    yield "figure_records", on, verdict.n
    yield "figure_window_end_timestamp_seconds", on, verdict.at
    for outcome in Outcome:
        yield "figure_outcome_state", (*on, str(outcome)), float(verdict.outcome == outcome)
    evidence = verdict.evidence
    if evidence.log10_e is not None and evidence.limit is not None:
        yield "evidence_log10", on, evidence.log10_e
        yield "evidence_limit_log10", on, evidence.limit
    if evidence.p is not None:
        yield "evidence_pvalue_ratio", on, evidence.p
    if evidence.distance is not None:
        yield "evidence_distance_ratio", on, evidence.distance


def _traffic(model: ModelView, health: Health) -> Iterator[Sample]:
    yield from _counted(model.name, model.counters)
    if any(encoder.model == model.name for encoder in health.encoders):
        yield from _closed(model, "texts", "texts", Told)
    if model.window is not None:
        yield "window_seen_records", (model.name,), model.window.n_seen
        yield "window_sampled_records", (model.name,), model.window.n
        yield "window_labelled_records", (model.name,), model.window.n_labelled


def _counted(model: str, counters: Mapping[str, Mapping[str, int]]) -> Iterator[Sample]:
    """What the intake counted: `read = stored + dropped by reason`."""
    for name in ("records", "labels"):
        for reason, n in counters.get(name, {}).items():
            yield f"{name}_total", (model, "stored" if reason == "stored" else "dropped", reason), n
        if name in counters.get("accepted", {}):
            yield f"read_{name}_total", (model,), counters["accepted"][name]
    for state, n in counters.get("joins", {}).items():
        yield "label_joins_total", (model, state), n
    if delays.COUNTER in counters:
        yield "label_delay_seconds", (model,), delays.cumulated(counters[delays.COUNTER])


def _decisions(model: ModelView) -> Iterator[Sample]:
    name = model.name
    watching = {v.detector for v in model.verdicts if v.evidence.log10_e is not None}
    yield from _closed(model, "alarms", "alarms", sorted(watching | set(model.counters.get("alarms", {}))))
    yield from _closed(model, "triggers", "triggers", TriggerKind)
    yield from _closed(model, "alerts", "alerts", What)
    for state in State:
        yield "runs", (name, str(state)), model.runs_by_state.get(str(state), 0)
    for run in model.runs:
        if run.ended_at is None:
            yield "run_entered_timestamp_seconds", (name, run.state), run.entered_at
    for newest in model.runs[:1]:
        yield "last_run_entered_timestamp_seconds", (name, newest.state), newest.entered_at
    yield from _closed(model, "ended_runs", "ended_runs", sorted(ENDED))
    yield "paused_state", (name,), float(model.is_paused)
    for sense in Sense:
        yield "blind_state", (name, sense.value), float(sense in model.blind)


def _champion(model: ModelView) -> Iterator[Sample]:
    name = model.name
    yield from _closed(model, "champion_moves", "champion_moves", Move)
    yield from _closed(model, "alias_moves", "aliases", Stranger)
    yield from _closed(model, "reference_moves", "references", Absorbing)
    if model.newest_record_at is not None:
        yield "newest_record_timestamp_seconds", (name,), model.newest_record_at
    yield "clock_ahead_seconds", (name,), model.ahead_s
    yield "model_troubles", (name,), float(len(model.damaged))
    if model.served_ratio is not None:
        yield "served_ratio", (name,), model.served_ratio
    if model.champion is not None:
        yield "champion_since_timestamp_seconds", (name,), model.champion.since
        if model.champion.version.isdecimal():
            yield "champion_version_number", (name,), float(model.champion.version)
    if model.epoch is not None:
        yield "epoch_number", (name,), model.epoch.epoch
        yield "learned_ratio", (name,), model.epoch.learned_ratio


def _closed(model: ModelView, metric: str, counter: str, reasons: Iterable[str]) -> Iterator[Sample]:
    """Every reason of a closed set, 0 at first: a rule sees the first one happen."""
    found = model.counters.get(counter, {})
    for reason in reasons:
        yield f"{metric}_total", (model.name, str(reason)), found.get(reason, 0)


def _incidents(model: ModelView, at: float) -> Iterator[Sample]:
    """The states are there without an incident too: a rule then needs no `or vector(0)`."""
    name, now_open = model.name, model.open_incident
    yield "open_incidents", (name,), float(now_open is not None)
    if now_open is not None:
        yield "incident_opened_timestamp_seconds", (name,), now_open.opened_at
        for detector, n in Counter(subject["detector"] for subject in now_open.subjects.values()).items():
            yield "incident_subjects", (name, detector), n
    yield "incident_harmful_state", (name,), float(now_open is not None and now_open.is_harmful)
    said = (now_open.diagnosis if now_open is not None else None) or {}
    for harm in Harm:
        yield "incident_harm_state", (name, str(harm)), float(said.get("harm") == harm)
    for shift in Shift:
        yield "incident_shift_state", (name, str(shift)), float(said.get("shift") == shift)
    believed = (now_open.evidence if now_open is not None else None) or {}
    yield "incident_confirmed_state", (name,), float(believed.get("is_confirmed", False))
    yield "incident_acknowledged_state", (name,), float(now_open is not None and now_open.acknowledged_by is not None)
    yield "incident_muted_state", (name,), float(now_open is not None and (now_open.muted_until or 0.0) > at)
    yield from _closed(model, "judged_incidents", "judged", Judged)
    if model.precision is not None:
        for bound in ("value", "low", "high"):
            yield "alarm_precision_ratio", (name, bound), getattr(model.precision, bound)


def _queues(model: ModelView, snapshot: Snapshot) -> Iterator[Sample]:
    oldest = model.outbox_oldest_at
    yield "outbox_queue_messages", (model.name,), model.outbox_n
    yield "outbox_lag_seconds", (model.name,), 0.0 if oldest is None else max(0.0, snapshot.at - oldest)
    yield "alias_lag_seconds", (model.name,), snapshot.health.alias_lag_s.get(model.name, 0.0)


def _kept(model: ModelView, snapshot: Snapshot) -> Iterator[Sample]:
    if model.name in snapshot.health.kept_bytes:
        yield "kept_bytes", (model.name,), snapshot.health.kept_bytes[model.name]
    yield from _closed(model, "pruned_bytes", "pruned", Why)


def _groups(model: str, figures: Iterable[GroupFigure]) -> Iterator[Sample]:
    for figure in figures:
        on = (model, figure.column, figure.group, str(figure.rate))
        name = "group_rate_shrunk_ratio" if figure.is_shrunk else "group_rate_ratio"
        for bound in ("value", "low", "high"):
            yield name, (*on, bound), getattr(figure, bound)
        yield "group_rate_records", on, figure.n


def _health(health: Health) -> Iterator[Sample]:
    yield "start_timestamp_seconds", (), health.started_at
    yield "ready_state", (), float(not health.not_ready)
    yield "tick_seconds", (), health.tick_s
    if health.last_tick_at is not None:
        yield "last_tick_timestamp_seconds", (), health.last_tick_at
    yield "ticks_total", ("ok",), health.ticks
    yield "ticks_total", ("failed",), health.failed_ticks
    yield "spool_backlog_bytes", (), health.spool_backlog_bytes
    yield "spool_lag_seconds", (), health.spool_lag_s
    yield "disk_free_bytes", (), health.disk_free_bytes
    yield "disk_low_state", (), float(health.disk_is_low)
    yield "acknowledged_records_total", (), health.accepted_records
    yield "acknowledged_labels_total", (), health.accepted_labels
    yield from _refused("records_total", health.rejected_records)
    yield from _refused("labels_total", health.rejected_labels)
    for encoder in health.encoders:
        yield from _encoder(encoder)
    for reason in Reason:
        yield "failures_total", (str(reason),), health.failures.get(str(reason), 0)


def _encoder(encoder: EncoderView) -> Iterator[Sample]:
    on = (encoder.model, encoder.subject)
    for state in EncoderState:
        yield "encoder_state", (*on, state.value), float(encoder.state == state)
    yield "encoder_losses_total", on, encoder.lost_n
    yield "encoder_cpu_seconds_total", on, encoder.cpu_s
    yield "encoder_resident_bytes", on, encoder.rss_bytes
    yield "encoder_texts_per_second", on, encoder.texts_per_s


def _refused(name: str, by_reason: Mapping[str, int]) -> Iterator[Sample]:
    """At the door the model may be unknown: these have none."""
    for reason, n in by_reason.items():
        yield name, ("", "rejected", reason), n
