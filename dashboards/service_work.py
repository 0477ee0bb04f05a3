"""How the service works: ticks, retrainings, moves, disk, its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import GREEN, RED, Query, Says, number, series
from dashboards.queries import NOT_SCRAPED, RATE

if TYPE_CHECKING:
    from typing import Any


_TICK = Says(
    title="Tick seconds",
    shows="How long the last tick took: reading, judging, deciding, delivering.",
    do="Near `tick_s` the service can't keep up: fewer columns, longer panes, a smaller `sample_ratio`, or more CPU.",
    empty=NOT_SCRAPED,
    unit="s",
)
_TICKS = Says(
    title="Ticks and failures",
    shows="Ticks a second that ended well or failed, and failures at the service's boundaries by reason.",
    do="A failed tick is repeated and loses nothing; one that fails again and again stands in the log with its traceback.",
    empty=NOT_SCRAPED,
    unit="cps",
)
_RUNS = Says(
    title="Retrainings by state",
    shows="Retrainings in each state now, of all models; final states keep theirs.",
    do="awaiting_approval waits for you: `retuned approve MODEL`. failed: `retuned runs` says why. collecting for long: few labels.",
    empty="no retraining yet",
    unit="none",
)
_QUEUES = Says(
    title="What waits",
    shows="Messages decided but not delivered, by model, and bytes on disk that are in no committed pane yet.",
    do="Messages that stay: MLflow or the notification's target refuses. Bytes that grow: see Spool lag.",
    empty="no model yet",
    unit="none",
)


def work() -> list[Any]:
    """Does it keep up."""
    return [
        series(_TICK, Query(expr="max(retuned_tick_seconds)", name="tick"), bottom=0.0),
        series(
            _TICKS,
            Query(expr=f"sum by (outcome) (rate(retuned_ticks_total{RATE}))", name="ticks {{outcome}}"),
            Query(expr=f"sum by (reason) (rate(retuned_failures_total{RATE})) > 0", name="failure: {{reason}}"),
        ),
        series(_RUNS, Query(expr="sum by (state) (retuned_runs) > 0", name="{{state}}"), bottom=0.0),
        series(_QUEUES, Query(expr="sum by (model) (retuned_outbox_queue_messages)", name="messages of {{model}}"), bottom=0.0),
    ]


_STARTED = Says(
    title="Started and ended",
    shows="Retrainings started in the last hour by what triggered them, and ended ones by how.",
    do="Many starts by one trigger: raise `cooldown_h` or `confirm_ticks`. failed or invalid: `retuned runs` says why.",
    empty="nothing started or ended in the last hour",
    unit="none",
)
_MOVED = Says(
    title="Moves of champions and aliases",
    shows="Champions promoted, rolled back or adopted in the last hour, aliases that somebody else moved, shifts absorbed or undone.",
    do="undone or version_deleted: somebody works in MLflow by hand; agree on who moves aliases.",
    empty="nothing moved in the last hour",
    unit="none",
)
_WAITS = Says(
    title="Longest in its state",
    shows="For how long active retrainings have been in the state that they are in.",
    do="training longer than usual: look at its log in the run's folder. awaiting_approval waits for a person.",
    empty="no active retraining",
    unit="s",
)
_AGE = Says(
    title="Age of the figures",
    shows="Time since the end of the newest pane or window that a figure speaks of, by model.",
    do="Growing while records flow: panes are not closed; see Tick seconds. Growing without traffic is as it should be.",
    empty="no figure yet",
    unit="s",
)
_TOLD = Says(
    title="People told",
    shows="How often the service told people, by what it was about, and its messages to the targets of `notify`: each step is one.",
    do="failed is tried again, given_up is not: look at the target. Too many: see on Fleet which alarms were judged false.",
    empty="nobody had to be told yet",
    unit="none",
    width=24,
    height=6,
)


def moves() -> list[Any]:
    """What started, what ended, who moved."""
    hour = "round(sum by ({}) (increase(retuned_{}_total[1h]))) > 0"
    return [
        series(
            _STARTED,
            Query(expr=hour.format("reason", "triggers"), name="started: {{reason}}"),
            Query(expr=hour.format("state", "ended_runs"), name="ended: {{state}}"),
            bottom=0.0,
        ),
        series(
            _MOVED,
            Query(expr=hour.format("reason", "champion_moves"), name="champion {{reason}}"),
            Query(expr=hour.format("reason", "alias_moves"), name="alias {{reason}}"),
            Query(expr=hour.format("reason", "reference_moves"), name="reference {{reason}}"),
            bottom=0.0,
        ),
        series(
            _WAITS,
            Query(expr="time() - min by (model, state) (retuned_run_entered_timestamp_seconds)", name="{{model}}: {{state}}"),
            bottom=0.0,
        ),
        series(_AGE, Query(expr="time() - max by (model) (retuned_figure_window_end_timestamp_seconds)", name="{{model}}"), bottom=0.0),
        series(
            _TOLD,
            Query(expr="sum by (reason) (retuned_alerts_total)", name="{{reason}}"),
            Query(expr="sum by (outcome) (retuned_notifications_total)", name="message {{outcome}}"),
            bottom=0.0,
        ),
    ]


_FREE = Says(
    title="Free disk",
    shows="Free bytes of the file system that holds the data folder.",
    do="When it is low records and labels are answered 503 and retention runs at once; free space or grow the volume.",
    empty=NOT_SCRAPED,
    unit="bytes",
    width=8,
)
_LOW = Says(
    title="Disk low",
    shows="1 while the disk is too full to take in records and labels: clients get 503 and keep what they have.",
    do="It recovers by itself when there is room. Lower the limits of age and bytes of the models that keep most.",
    empty=NOT_SCRAPED,
    unit="none",
    width=4,
)
_KEPT = Says(
    title="Kept and removed",
    shows="Bytes of all files kept by model, and removed ones in the last hour by why (age, bytes).",
    do="A model that keeps too much: lower its limits of age or bytes, or its `sample_ratio`.",
    empty="nothing is counted yet",
    unit="bytes",
)


def disk() -> list[Any]:
    """What is left and what it holds."""
    state = Query(expr="max(retuned_disk_low_state)", name="low", texts=(("0", "room"), ("1", "low: 503")))
    return [
        series(_FREE, Query(expr="min(retuned_disk_free_bytes)", name="free"), bottom=0.0),
        number(_LOW, state, colours=((None, GREEN), (1.0, RED))),
        series(
            _KEPT,
            Query(expr="sum by (model) (retuned_kept_bytes)", name="kept: {{model}}"),
            Query(expr="sum by (reason) (increase(retuned_pruned_bytes_total[1h])) > 0", name="removed: {{reason}}"),
            bottom=0.0,
        ),
    ]


_MEMORY = Says(
    title="Memory",
    shows="Resident memory of the service and of the processes that embed, and what its spool holds on disk that no committed pane has.",
    do="Memory that grows without end is a bug: report it with this picture. It is bounded by open panes and references.",
    empty="the process figures are missing: see docs/grafana.md",
    unit="bytes",
)
_CPU = Says(
    title="CPU",
    shows="Cores in use. Retrainings run in processes of their own and are not in it.",
    do="Near 1 for long: a tick computes all the time; see Tick seconds.",
    empty="the process figures are missing: see docs/grafana.md",
    unit="none",
)


def process() -> list[Any]:
    """What it costs."""
    both = "and on (job, instance) retuned_ready_state"
    return [
        series(
            _MEMORY,
            Query(expr=f"process_resident_memory_bytes {both}", name="resident"),
            Query(expr="max(retuned_spool_backlog_bytes)", name="spool backlog"),
            Query(expr="max by (model, subject) (retuned_encoder_resident_bytes)", name="encoder: {{model}} {{subject}}"),
            bottom=0.0,
        ),
        series(_CPU, Query(expr=f"rate(process_cpu_seconds_total{RATE}) {both}", name="cores"), bottom=0.0),
    ]
