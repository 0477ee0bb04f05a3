"""The service itself: is it up, does it keep up, is anything lost, does what it decided arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.frame import framed, with_rows
from dashboards.panels import BLUE, GREEN, ORANGE, RED, Query, Says, number, series
from dashboards.queries import NOT_SCRAPED, RATE
from dashboards.service_work import disk, moves, process, work

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.models.dashboard import Dashboard


def service() -> Dashboard:
    """The whole dashboard."""
    says = "Is the service up, does it keep up, is anything lost, does what it decided arrive."
    board = framed("retuned-service", "retuned: Service", says, since="now-6h")
    sections = (
        ("Now", _now()),
        ("Capture", _capture()),
        ("Work", work()),
        ("Decisions", moves()),
        ("Disk", disk()),
        ("Process", process()),
    )
    return with_rows(board, *sections).build()


_UP = Says(
    title="Ready",
    shows="1 when Prometheus reaches the service and its first tick has ended.",
    do="Not ready: read the service's log; after a start, migration and the first tick come first.",
    empty=NOT_SCRAPED,
    unit="none",
    width=4,
    height=4,
)
_UPTIME = Says(
    title="Up for",
    shows="Time since the service started.",
    do="Short, again and again: it is killed or crashes; look at the log's last lines and at its memory limit.",
    empty=NOT_SCRAPED,
    unit="s",
    width=4,
    height=4,
)
_TICK = Says(
    title="Since the last tick",
    shows="Time since the service last looked at everything and ended well.",
    do="More than a few times `tick_s`: a tick hangs or fails; see Ticks and Failures below and the log (`tick.failed`).",
    empty=NOT_SCRAPED,
    unit="s",
    width=4,
    height=4,
)
_LAG = Says(
    title="Spool lag",
    shows="Age of the oldest acknowledged record or label that has not been read. Nothing of it is lost: it is on disk.",
    do="Growing: ticks fail or are too slow for the traffic (Tick seconds); lower `sample_ratio` or give it more CPU.",
    empty=NOT_SCRAPED,
    unit="s",
    width=4,
    height=4,
)
_ALIAS = Says(
    title="Alias lag",
    shows="For how long the registry's aliases have differed from the ledger, the longest of all models; 0 = they agree.",
    do="Over a minute: MLflow does not answer or refuses; the model server still loads the old version until it agrees.",
    empty="no model yet",
    unit="s",
    width=4,
    height=4,
)
_OUTBOX = Says(
    title="Undelivered",
    shows="Age of the oldest thing decided but not yet delivered: an alias, a report, a notice.",
    do="Growing: see Failures by reason; delivery is tried again by itself, with growing pauses.",
    empty="no model yet",
    unit="s",
    width=4,
    height=4,
)


def _now() -> list[Any]:
    is_up = Query(expr="min(retuned_ready_state)", name="ready", texts=(("0", "not ready"), ("1", "ready")))
    return [
        number(_UP, is_up, colours=((None, RED), (1, GREEN))),
        number(_UPTIME, Query(expr="time() - max(retuned_start_timestamp_seconds)", name="up"), colours=((None, BLUE),)),
        number(
            _TICK,
            Query(expr="time() - max(retuned_last_tick_timestamp_seconds)", name="since"),
            colours=((None, GREEN), (60, ORANGE), (300, RED)),
        ),
        number(
            _LAG,
            Query(expr="max(retuned_spool_lag_seconds)", name="lag"),
            colours=((None, GREEN), (120, ORANGE), (900, RED)),
            has_line=True,
        ),
        number(
            _ALIAS,
            Query(expr="max(retuned_alias_lag_seconds)", name="lag"),
            colours=((None, GREEN), (60, ORANGE), (600, RED)),
            has_line=True,
        ),
        number(
            _OUTBOX,
            Query(expr="max(retuned_outbox_lag_seconds)", name="lag"),
            colours=((None, GREEN), (120, ORANGE), (900, RED)),
            has_line=True,
        ),
    ]


_RECORDS = Says(
    title="Records by what became of them",
    shows="Records a second: stored, dropped or rejected, with the reason. Read = stored + dropped, but for open panes.",
    do="rejected: a client sends what the schema refuses (the answer names path and rule). late: its clock or queue is behind. "
    "sampled_out is `sample_ratio` at work.",
    empty="no record since the start: POST /v1/records",
    unit="reqps",
)
_LABELS = Says(
    title="Labels by what became of them",
    shows="Labels a second: stored, dropped or rejected, with the reason.",
    do="No line while records flow: the labels' source is silent, and performance can't be judged.",
    empty="no label since the start: POST /v1/labels",
    unit="reqps",
)
_DOOR = Says(
    title="Acknowledged and read",
    shows="Records and labels a second acknowledged at the door (on disk) and read from the spool. The two curves follow each other.",
    do="Read stays below acknowledged: the service falls behind; see Spool lag.",
    empty="nothing acknowledged since the start",
    unit="reqps",
)
_JOINS = Says(
    title="Labels and their records",
    shows="Labels a second by state: joined, waiting for their record, of an unsampled record, expired.",
    do="waiting grows: labels come before their records, or with ids that no record has. expired: `label_horizon_s` is too short.",
    empty="no label since the start",
    unit="reqps",
)
_TEXTS = Says(
    title="Texts that the service embeds",
    shows="Stored records a second by what became of their texts, where a column has an encoder; what sampling leaves out is not shown.",
    do="late or unavailable: the encoder is slow or down, /healthz says why; see the runbook RetunedTextsNotEmbedded.",
    empty="no column has an encoder",
    unit="reqps",
)


def _capture() -> list[Any]:
    outcome = "sum by (outcome, reason) (rate(retuned_{}_total{}))"
    return [
        series(_RECORDS, Query(expr=outcome.format("records", RATE), name="{{outcome}}: {{reason}}")),
        series(_LABELS, Query(expr=outcome.format("labels", RATE), name="{{outcome}}: {{reason}}")),
        series(
            _DOOR,
            Query(expr=f"sum(rate(retuned_acknowledged_records_total{RATE}))", name="records acknowledged"),
            Query(expr=f"sum(rate(retuned_read_records_total{RATE}))", name="records read"),
            Query(expr=f"sum(rate(retuned_acknowledged_labels_total{RATE}))", name="labels acknowledged"),
            Query(expr=f"sum(rate(retuned_read_labels_total{RATE}))", name="labels read"),
        ),
        series(_JOINS, Query(expr=f"sum by (state) (rate(retuned_label_joins_total{RATE}))", name="{{state}}")),
        series(_TEXTS, Query(expr=f'sum by (outcome) (rate(retuned_texts_total{{outcome!="sampled_out"}}{RATE}))', name="{{outcome}}")),
    ]
