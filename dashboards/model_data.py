"""What comes into one model: columns that moved, and labels that come late or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import BLUE, Query, Says, band, rows, series
from dashboards.queries import DISTANCE, NO_COLUMN, OF_COLUMNS, RATE, evidence, figure

if TYPE_CHECKING:
    from typing import Any

_MODEL = 'model="$model"'
_DRIFT = f'detector=~"conformal_.+|text_.+|embedding_.+|domain_classifier", {NO_COLUMN}'


_PROOF = Says(
    title="Evidence by column",
    shows="How far each column is on its way to a drift alarm; 1 = alarm.",
    do="Alarms of inputs without one of loss or performance: the world changed, the model copes. Together they are harmful.",
    empty="drift is not watched, or the reference is still being learned",
    unit="percentunit",
)
_ONE = Says(
    title="Distance of $column",
    shows="How far the column is from its reference, with an interval: stability index (numeric), Jensen-Shannon (category), "
    "the larger of what its figures and its words tell apart (text), mean discrepancy (embedding); dashed: a limit set by hand, if any.",
    do="This is the size of the change; whether it is one, the evidence says.",
    empty="too few records in the window to say, or the reference lacks this column",
    unit="none",
)
_TABLE = Says(
    title="Columns now",
    shows="Every detector of a column: distance with its interval, limit, p-value of one-look tests, and the records behind it.",
    do="Sort by value. p-values inform and never alarm: of many columns some are small by chance.",
    empty="too few records in the window to say",
    unit="none",
    width=24,
    height=10,
)


def drift() -> list[Any]:
    """Evidence and distance by column."""
    at, of = f'{_MODEL}, {DISTANCE}, subject="$column"', f"{_MODEL}, {OF_COLUMNS}"
    by = "max by (subject, detector)"
    return [
        series(
            _PROOF,
            Query(expr=evidence("subject", f"{_MODEL}, {_DRIFT}"), name="{{subject}}"),
            Query(expr="vector(1)", name="alarm"),
            limits=["alarm"],
            bottom=0.0,
        ),
        band(
            _ONE,
            value=Query(expr=f"max({figure('value', at)})", name="distance"),
            low=f"max({figure('low', at)})",
            high=f"max({figure('high', at)})",
            limits=[Query(expr=f"max(retuned_figure_limit{{{at}}})", name="limit")],
            top=None,
        ),
        rows(
            _TABLE,
            "subject",
            *(
                Query(expr=f"{by} ({figure(bound, of)})", name=bound, decimals=3, labels=(("detector", "detector"),))
                for bound in ("value", "low", "high")
            ),
            Query(expr=f"{by} (retuned_figure_limit{{{of}}})", name="limit", decimals=2),
            Query(expr=f"{by} (retuned_evidence_pvalue_ratio{{{of}}})", name="p-value", unit="sci"),
            Query(expr=f"{by} (retuned_figure_records{{{of}}})", name="records"),
        ),
    ]


_DELAY = Says(
    title="Label delay",
    shows="From a record's own time to the arrival of its label, of labels joined in the last hour: half and nine of ten are faster.",
    do="Performance speaks of the past by this much. Near `label_horizon_s` labels begin to be lost.",
    empty="no label joined a record in the last hour",
    unit="s",
    width=8,
)
_COVERAGE = Says(
    title="Label coverage",
    shows="Of the records kept in the window those that have a label by now.",
    do="Falling: the labels' source lags or has stopped. Near 0 where labels come later than the window is long: see Label delay.",
    empty="no record in the window",
    unit="percentunit",
    width=8,
)
_JOINS = Says(
    title="What became of the labels",
    shows="Labels a second by state: joined, waiting for their record, of an unsampled record, expired.",
    do="waiting grows: ids that no record has. expired: `label_horizon_s` is too short for this source.",
    empty="no label yet: POST /v1/labels",
    unit="reqps",
    width=8,
)


def labels() -> list[Any]:
    """Delay and coverage."""
    bucket = f"sum by (le) (rate(retuned_label_delay_seconds_bucket{{{_MODEL}}}[1h]))"
    labelled, kept = (f"sum(retuned_window_{what}_records{{{_MODEL}}})" for what in ("labelled", "sampled"))
    return [
        series(
            _DELAY,
            Query(expr=f"histogram_quantile(0.5, {bucket})", name="half within"),
            Query(expr=f"histogram_quantile(0.9, {bucket})", name="9 of 10 within"),
            bottom=0.0,
        ),
        series(_COVERAGE, Query(expr=f"{labelled} / ({kept} > 0)", name="coverage"), colours={"coverage": BLUE}, bottom=0.0),
        series(_JOINS, Query(expr=f"sum by (state) (rate(retuned_label_joins_total{{{_MODEL}}}{RATE}))", name="{{state}}"), bottom=0.0),
    ]
