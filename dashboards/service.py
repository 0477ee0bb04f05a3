"""The service itself: is it up, does it keep up, is anything lost, does what it decided arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.frame import framed, with_rows
from dashboards.panels import GREEN, ORANGE, RED, Query, Says, number, series

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.models.dashboard import Dashboard

_RATE = "[$__rate_interval]"
_NOT_SCRAPED = "Prometheus scrapes no retuned: see docs/grafana.md"


def service() -> Dashboard:
    """The whole dashboard."""
    says = "Is the service up, does it keep up, is anything lost, does what it decided arrive."
    board = framed("retuned-service", "retuned: Service", says, since="now-6h")
    return with_rows(board, ("Now", _now()), ("Capture", _capture()), ("Work", _work()), ("Process", _process())).build()


def _now() -> list[Any]:
    up = Says(
        title="Ready",
        shows="1 when Prometheus reaches the service and its first tick has ended.",
        do="Not ready: read the service's log; after a start, migration and the first tick come first.",
        empty=_NOT_SCRAPED,
        unit="none",
        width=4,
        height=4,
    )
    tick = Says(
        title="Since the last tick",
        shows="Time since the service last looked at everything and ended well.",
        do="More than a few times `tick_s`: a tick hangs or fails; see Ticks and Failures below and the log (`tick.failed`).",
        empty=_NOT_SCRAPED,
        unit="s",
        width=5,
        height=4,
    )
    lag = Says(
        title="Spool lag",
        shows="Age of the oldest acknowledged record or label that has not been read. Nothing of it is lost: it is on disk.",
        do="Growing: ticks fail or are too slow for the traffic (Tick seconds); lower `sample_ratio` or give it more CPU.",
        empty=_NOT_SCRAPED,
        unit="s",
        width=5,
        height=4,
    )
    alias = Says(
        title="Alias lag",
        shows="For how long the registry's aliases have differed from the ledger, the longest of all models; 0 = they agree.",
        do="Over a minute: MLflow does not answer or refuses; the model server still loads the old version until it agrees.",
        empty="no model yet",
        unit="s",
        width=5,
        height=4,
    )
    outbox = Says(
        title="Undelivered",
        shows="Age of the oldest thing decided but not yet delivered: an alias, a report, a notice.",
        do="Growing: see Failures by reason; delivery is tried again by itself, with growing pauses.",
        empty="no model yet",
        unit="s",
        width=5,
        height=4,
    )
    is_up = Query(expr="min(retuned_ready_state)", name="ready", texts=(("0", "not ready"), ("1", "ready")))
    return [
        number(up, is_up, colours=((None, RED), (1, GREEN))),
        number(
            tick,
            Query(expr="time() - max(retuned_last_tick_timestamp_seconds)", name="since"),
            colours=((None, GREEN), (60, ORANGE), (300, RED)),
        ),
        number(
            lag, Query(expr="max(retuned_spool_lag_seconds)", name="lag"), colours=((None, GREEN), (120, ORANGE), (900, RED)), has_line=True
        ),
        number(
            alias,
            Query(expr="max(retuned_alias_lag_seconds)", name="lag"),
            colours=((None, GREEN), (60, ORANGE), (600, RED)),
            has_line=True,
        ),
        number(
            outbox,
            Query(expr="max(retuned_outbox_lag_seconds)", name="lag"),
            colours=((None, GREEN), (120, ORANGE), (900, RED)),
            has_line=True,
        ),
    ]


def _capture() -> list[Any]:
    records = Says(
        title="Records by what became of them",
        shows="Records a second: stored, dropped or rejected, with the reason. Read = stored + dropped, but for open panes.",
        do="rejected: a client sends what the schema refuses (the answer names path and rule). late: its clock or queue is behind. "
        "sampled_out is `sample_ratio` at work.",
        empty="no record since the start: POST /v1/records",
        unit="reqps",
    )
    labels = Says(
        title="Labels by what became of them",
        shows="Labels a second: stored, dropped or rejected, with the reason.",
        do="No line while records flow: the labels' source is silent, and performance can't be judged.",
        empty="no label since the start: POST /v1/labels",
        unit="reqps",
    )
    door = Says(
        title="Acknowledged and read",
        shows="Records and labels a second acknowledged at the door (on disk) and read from the spool. The two curves follow each other.",
        do="Read stays below acknowledged: the service falls behind; see Spool lag.",
        empty="nothing acknowledged since the start",
        unit="reqps",
    )
    joins = Says(
        title="Labels and their records",
        shows="Labels a second by state: joined, waiting for their record, of an unsampled record, expired.",
        do="waiting grows: labels come before their records, or with ids that no record has. expired: `label_horizon_s` is too short.",
        empty="no label since the start",
        unit="reqps",
    )
    outcome = "sum by (outcome, reason) (rate(retuned_{}_total{}))"
    return [
        series(records, Query(expr=outcome.format("records", _RATE), name="{{outcome}}: {{reason}}")),
        series(labels, Query(expr=outcome.format("labels", _RATE), name="{{outcome}}: {{reason}}")),
        series(
            door,
            Query(expr=f"sum(rate(retuned_acknowledged_records_total{_RATE}))", name="records acknowledged"),
            Query(expr=f"sum(rate(retuned_read_records_total{_RATE}))", name="records read"),
            Query(expr=f"sum(rate(retuned_acknowledged_labels_total{_RATE}))", name="labels acknowledged"),
            Query(expr=f"sum(rate(retuned_read_labels_total{_RATE}))", name="labels read"),
        ),
        series(joins, Query(expr=f"sum by (state) (rate(retuned_label_joins_total{_RATE}))", name="{{state}}")),
    ]


def _work() -> list[Any]:
    tick = Says(
        title="Tick seconds",
        shows="How long the last tick took: reading, judging, deciding, delivering.",
        do="Near `tick_s` the service can't keep up: fewer columns, longer panes, a smaller `sample_ratio`, or more CPU.",
        empty=_NOT_SCRAPED,
        unit="s",
    )
    ticks = Says(
        title="Ticks and failures",
        shows="Ticks a second that ended well or failed, and failures at the service's boundaries by reason.",
        do="A failed tick is repeated and loses nothing; one that fails again and again stands in the log with its traceback.",
        empty=_NOT_SCRAPED,
        unit="cps",
    )
    runs = Says(
        title="Retrainings by state",
        shows="Retrainings in each state now, of all models; final states keep theirs.",
        do="awaiting_approval waits for you: `retuned approve MODEL`. failed: `retuned runs` says why. collecting for long: few labels.",
        empty="no retraining yet",
        unit="none",
    )
    queues = Says(
        title="What waits",
        shows="Messages decided but not delivered, by model, and bytes on disk that are in no committed pane yet.",
        do="Messages that stay: MLflow or the notification's target refuses. Bytes that grow: see Spool lag.",
        empty="no model yet",
        unit="none",
    )
    return [
        series(tick, Query(expr="max(retuned_tick_seconds)", name="tick"), bottom=0.0),
        series(
            ticks,
            Query(expr=f"sum by (outcome) (rate(retuned_ticks_total{_RATE}))", name="ticks {{outcome}}"),
            Query(expr=f"sum by (reason) (rate(retuned_failures_total{_RATE})) > 0", name="failure: {{reason}}"),
        ),
        series(runs, Query(expr="sum by (state) (retuned_runs) > 0", name="{{state}}"), bottom=0.0),
        series(queues, Query(expr="sum by (model) (retuned_outbox_queue_messages)", name="messages of {{model}}"), bottom=0.0),
    ]


def _process() -> list[Any]:
    memory = Says(
        title="Memory",
        shows="Resident memory of the service, and what its spool holds on disk that no committed pane has.",
        do="Memory that grows without end is a bug: report it with this picture. It is bounded by open panes and references.",
        empty="the process figures are missing: see docs/grafana.md",
        unit="bytes",
    )
    cpu = Says(
        title="CPU",
        shows="Cores in use. Retrainings run in processes of their own and are not in it.",
        do="Near 1 for long: a tick computes all the time; see Tick seconds.",
        empty="the process figures are missing: see docs/grafana.md",
        unit="none",
    )
    both = "and on (job, instance) retuned_ready_state"
    return [
        series(
            memory,
            Query(expr=f"process_resident_memory_bytes {both}", name="resident"),
            Query(expr="max(retuned_spool_backlog_bytes)", name="spool backlog"),
            bottom=0.0,
        ),
        series(cpu, Query(expr=f"rate(process_cpu_seconds_total{_RATE}) {both}", name="cores"), bottom=0.0),
    ]
