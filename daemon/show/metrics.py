"""The table of metrics: what each is called, what it means, which labels it has. The only list; exporter, dashboards and docs read it.

Label values come from closed sets: models, detectors and subjects of the settings, and the enums of outcomes, reasons, states and bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """Prometheus' types that are used here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One line of the table."""

    name: str
    """Full name; a counter's ends in _total."""
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()


LABELS = frozenset(
    {
        "model",
        "detector",
        "subject",
        "outcome",
        "reason",
        "state",
        "bound",
        "column",
        "group",
        "rate",
        "harm",
        "shift",
        "external_url",
        "version",
    }
)
"""Every label that any metric may have. `version` is the service's own, never a model's."""


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"retuned_{name}", type=MetricType.GAUGE, help=text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"retuned_{name}_total", type=MetricType.COUNTER, help=text, labels=labels)


_ON = ("model", "detector", "subject")
_OF_GROUP = ("model", "column", "group", "rate")

METRICS: tuple[Metric, ...] = (
    # figures: the latest verdict of each detector about each subject
    _gauge(
        "figure_value",
        "What the detector measured, in its own unit, with the ends of its interval (bound: value, low, high).",
        *_ON,
        "bound",
    ),
    _gauge("figure_limit", "What the figure is held to, in its own unit: floor of a metric, most of a loss, gap or distance.", *_ON),
    _gauge("figure_records", "Records or labelled pairs behind the figure.", *_ON),
    _gauge("figure_window_end_timestamp_seconds", "End of the window or pane that the figure speaks of.", *_ON),
    _gauge("figure_outcome_state", "1 for what the detector says now, 0 for the other outcomes.", *_ON, "outcome"),
    _gauge("evidence_log10", "log10 of the e-value or e-detector; at or above retuned_evidence_limit_log10 it alarms.", *_ON),
    _gauge("evidence_limit_log10", "log10 evidence at which the detector alarms: -log10(alpha).", *_ON),
    _gauge("evidence_pvalue_ratio", "p-value of a one-look test: informs, never alarms.", *_ON),
    _gauge("evidence_distance_ratio", "Distance of a detector whose limit was set by hand.", *_ON),
    # fairness, group by group: those of the reference (at most 20 a column), all others together as "(other)"
    _gauge(
        "group_rate_ratio",
        "Rate of a group among labelled records of the window (positive, true_positive, false_positive), with its exact 95 % interval.",
        *_OF_GROUP,
        "bound",
    ),
    _gauge(
        "group_rate_shrunk_ratio",
        "Of a group with too few labelled records (fairness.min_n) for its own rate: drawn towards all groups' rates; it never alarms.",
        *_OF_GROUP,
        "bound",
    ),
    _gauge("group_rate_records", "Labelled records behind the rate.", *_OF_GROUP),
    # traffic
    _counter("records", "Records by what became of them: stored, dropped or rejected, with the reason.", "model", "outcome", "reason"),
    _counter("labels", "Labels by what became of them: stored, dropped or rejected, with the reason.", "model", "outcome", "reason"),
    _counter("read_records", "Records read from the spool: stored + dropped by reason, but for those in open panes.", "model"),
    _counter(
        "read_labels", "Labels read from the spool: stored + dropped by reason, but for those that wait for a pane to close.", "model"
    ),
    _counter("label_joins", "What became of stored labels: joined, waiting for their record, unsampled, expired.", "model", "state"),
    Metric(
        name="retuned_label_delay_seconds",
        type=MetricType.HISTOGRAM,
        help="From a record's own time to the arrival of its label, of joined labels.",
        labels=("model",),
    ),
    _counter("acknowledged_records", "Records acknowledged (on disk in the spool) since the start of the process."),
    _counter("acknowledged_labels", "Labels acknowledged (on disk in the spool) since the start of the process."),
    _gauge("window_seen_records", "All records in the window, sampled or not.", "model"),
    _gauge("window_sampled_records", "Sampled records in the window.", "model"),
    _gauge("window_labelled_records", "Sampled records in the window that have a label by now.", "model"),
    _gauge(
        "newest_record_timestamp_seconds", "End of the newest pane that has a record, sampled or not; absent before the first.", "model"
    ),
    _gauge(
        "clock_ahead_seconds",
        "How far the model's newest pane lies after the service's own clock, which was ahead and was set back; 0 = it does not.",
        "model",
    ),
    _gauge(
        "model_troubles",
        "What of the model does not read in the ledger, or does not work because of it, now; /healthz says it in sentences (`damaged`).",
        "model",
    ),
    # texts that the service embeds itself
    _counter(
        "texts",
        "Stored records by what became of their texts, each column with an encoder: embedded, sampled_out, no_text, no_vector, late, "
        "unavailable, overload.",
        "model",
        "outcome",
    ),
    _gauge("encoder_state", "1 for what the encoder of a column is now: idle, starting, ready, down.", "model", "subject", "state"),
    _counter("encoder_losses", "Processes of the encoder that died, hung or could not be started.", "model", "subject"),
    _counter("encoder_cpu_seconds", "Processor time that the encoder took to embed.", "model", "subject"),
    _gauge("encoder_resident_bytes", "The most that the encoder's process held.", "model", "subject"),
    _gauge("encoder_texts_per_second", "How fast the encoder embeds; 0 = not known yet.", "model", "subject"),
    # decisions
    _counter("alarms", "Alarms: a detector went from quiet to alarm.", "model", "detector"),
    _counter("triggers", "Retrainings started, by what triggered them.", "model", "reason"),
    _counter("alerts", "Alerts: a person was told.", "model", "reason"),
    _gauge("incident_subjects", "Subjects that have alarmed in the open incident, by detector; absent without one.", "model", "detector"),
    _gauge("open_incidents", "Incidents open now (0 or 1 a model).", "model"),
    _gauge("incident_opened_timestamp_seconds", "When the open incident was opened; no sample without one.", "model"),
    _gauge(
        "incident_harm_state",
        "1 for what is said of the open incident: harmful or benign by labels, likely (harmful) without them, or unknown.",
        "model",
        "harm",
    ),
    _gauge(
        "incident_shift_state",
        "1 for the kind of shift of the open incident: covariate, concept, label, damage, unknown.",
        "model",
        "shift",
    ),
    _gauge("incident_harmful_state", "1 while the open incident holds drift and risk, 0 otherwise and without one.", "model"),
    _gauge(
        "incident_confirmed_state",
        "1 while all e-processes together confirm the open incident (of all epochs so confirmed at most one in ten falsely).",
        "model",
    ),
    _gauge("incident_acknowledged_state", "1 while a person is on the open incident, 0 otherwise and without one.", "model"),
    _gauge("incident_muted_state", "1 while the open incident is muted, 0 otherwise and without one.", "model"),
    _counter("judged_incidents", "Judgements by persons (real, false, expected); a correction counts again.", "model", "outcome"),
    _gauge(
        "alarm_precision_ratio",
        "Share of judged incidents that were real: real / (real + false), expected ones left out; bound: value, low, high (95 %).",
        "model",
        "bound",
    ),
    _gauge("runs", "Retrainings in each state now; final states keep theirs.", "model", "state"),
    _counter("ended_runs", "Retrainings that ended, by how.", "model", "state"),
    _gauge(
        "run_entered_timestamp_seconds", "When the active retraining entered the state that it is in; absent without one.", "model", "state"
    ),
    _gauge(
        "last_run_entered_timestamp_seconds", "When the newest run, active or ended, entered the state that it is in.", "model", "state"
    ),
    _gauge("paused_state", "1 while a person has paused everything automatic.", "model"),
    _gauge("champion_version_number", "The champion's version; absent when it is no number (MLflow's are).", "model"),
    _gauge("champion_since_timestamp_seconds", "When the present champion became it, by the ledger.", "model"),
    _counter(
        "champion_moves",
        "Moves of the champion in the ledger: promoted, rolled_back, adopted (somebody else made it so).",
        "model",
        "reason",
    ),
    _counter("reference_moves", "References moved by a person: absorbed (a benign shift), restored (undone).", "model", "reason"),
    _counter(
        "alias_moves",
        "Aliases moved by somebody else in the registry, by what was done: adopted, undone, restored, version_deleted.",
        "model",
        "reason",
    ),
    _gauge("served_ratio", "Share of the newest records that were answered by the champion; absent without records.", "model"),
    _gauge("blind_state", "1 while no verdict, or no label, has come for blind_after_s (reason: verdict, label).", "model", "reason"),
    _gauge("epoch_number", "The present epoch; a promotion, rollback, adoption or absorbed shift starts a new one.", "model"),
    _gauge("learned_ratio", "How much of the reference has been learned; 1 = pinned.", "model"),
    # the service itself
    _gauge("service_info", "Always 1: where people reach the service, and its version.", "external_url", "version"),
    _gauge("start_timestamp_seconds", "When the service started."),
    _gauge("ready_state", "1 when the service can work."),
    _gauge("tick_seconds", "How long the last tick took."),
    _gauge("last_tick_timestamp_seconds", "When the last tick ended well."),
    _counter("ticks", "Ticks since the start, by outcome (ok, failed).", "outcome"),
    _gauge("spool_backlog_bytes", "Acknowledged bytes that are in no committed pane yet."),
    _gauge("spool_lag_seconds", "Age of the oldest acknowledged entry that has not been read."),
    _gauge("outbox_queue_messages", "Decided but not yet delivered: aliases, reports, notices.", "model"),
    _gauge("outbox_lag_seconds", "Age of the oldest message that has not been delivered.", "model"),
    _gauge(
        "alias_lag_seconds",
        "For how long the registry has not answered, or not as the ledger has it; 0 = they agree.",
        "model",
    ),
    _gauge("disk_free_bytes", "Free bytes of the file system that holds the data folder."),
    _gauge("disk_low_state", "1 while the disk is too full to take in records and labels: they are answered 503."),
    _gauge("kept_bytes", "Bytes of all files kept for the model: record log, runs, references, adapters, reports.", "model"),
    _counter("pruned_bytes", "Bytes of files removed because of their age or of the model's limit of bytes.", "model", "reason"),
    _counter("notifications", "Messages to people, one a target: sent, failed (tried again), given_up.", "outcome"),
    _gauge("notification_lag_seconds", "Age of the oldest message to people that no target has taken; 0 = none waits."),
    _counter(
        "failures",
        "Failures at the service's boundaries since the start, each attempt of a run's job and of a delivery, by reason.",
        "reason",
    ),
)

BY_NAME: dict[str, Metric] = {m.name: m for m in METRICS}
