"""How sound the data of one model are: what is missing, unreadable, out of bounds, repeated, late or too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import Query, Says, number, rows, series
from dashboards.queries import evidence, figure

if TYPE_CHECKING:
    from typing import Any

_MODEL = 'model="$model"'
_RISES = 'detector=~"(missing|wrong_type|out_of_range|unseen_category|duplicate_.+)_rise"'
_OF_WINDOW = 'detector=~"missing|wrong_type|out_of_range|unseen_category|duplicate_(content|id)|constant|cardinality|staleness|traffic"'

_PROOF = Says(
    title="Evidence of damage",
    shows="How far each fault of a column, or of records as such, is on its way to an alarm; 1 = alarm.",
    do="See to the source of the data: a retraining would learn the damage. The fault is in the detector's name.",
    empty="data quality is not watched, or the reference is still being learned",
    unit="percentunit",
    width=24,
)
_AGE = Says(
    title="Newest record",
    shows="How long ago the newest pane with a record ended.",
    do="Longer than a pane and its watermark while traffic should flow: the sender has stopped, or lags.",
    empty="no record has come yet",
    unit="s",
    width=4,
    height=10,
)
_TABLE = Says(
    title="Data now",
    shows="Every fault in the window with its interval and limit. Shares, but: traffic and cardinality are ratios to what is expected, "
    "staleness is in seconds.",
    do="Sort by value. What has no limit informs only.",
    empty="too few records in the window to say",
    unit="none",
    width=20,
    height=10,
)


def damage() -> list[Any]:
    """Evidence, and every fault of the window."""
    of, by = f"{_MODEL}, {_OF_WINDOW}", "max by (subject, detector)"
    return [
        series(
            _PROOF,
            Query(expr=evidence("subject, detector", f"{_MODEL}, {_RISES}"), name="{{subject}} {{detector}}"),
            Query(expr="vector(1)", name="alarm"),
            limits=["alarm"],
            bottom=0.0,
        ),
        number(_AGE, Query(expr=f"time() - max(retuned_newest_record_timestamp_seconds{{{_MODEL}}})", name="age")),
        rows(
            _TABLE,
            "subject",
            *(
                Query(expr=f"{by} ({figure(bound, of)})", name=bound, decimals=3, labels=(("detector", "detector"),))
                for bound in ("value", "low", "high")
            ),
            Query(expr=f"{by} (retuned_figure_limit{{{of}}})", name="limit", decimals=3),
            Query(expr=f"{by} (retuned_figure_records{{{of}}})", name="records"),
        ),
    ]
