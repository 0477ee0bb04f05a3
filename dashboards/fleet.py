"""All models at a glance: a row each, and what changed lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.frame import by_label, framed, with_rows
from dashboards.panels import BLUE, GREEN, ORANGE, RED, Query, Says, band, bars, rows, series
from dashboards.queries import HEALTH, RATE, evidence, gap_of_allowed, health, score, score_limit

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.models.dashboard import Dashboard

_OPEN_MODEL = "/d/retuned-model/retuned-model?var-datasource=${datasource}&var-model=${__value.text}&${__url_time_range}"
_NO_MODEL = "no model yet: is Prometheus scraping retuned (docs/grafana.md)?"
_TO_ALARM: tuple[tuple[float | None, str], ...] = ((None, GREEN), (0.5, ORANGE), (1.0, RED))


def fleet() -> Dashboard:
    """The whole dashboard."""
    board = framed(
        "retuned-fleet", "retuned: Fleet", "All models: health, score, evidence, fairness, incidents, retrainings.", since="now-24h"
    )
    models = by_label("models", "Models", "label_values(retuned_open_incidents, model)", is_many=True)
    return with_rows(
        board.with_variable(models), ("Models", [_table()]), ("Now", _now()), ("Scores", [_scores()]), ("Lately", _lately())
    ).build()


def _table() -> Any:  # noqa: ANN401 (the SDK's panels have no common type)
    says = Says(
        title="Models",
        shows="A row a model. Score: the watched metric that stands worst (accuracy where none has a limit), with its interval. "
        "Evidence: the detector nearest to its alarm, 1 = alarm. Gap: the widest between protected groups, 100 % = all that is allowed.",
        do="Red or orange: open the model by its name; harmful incident first (drift and loss together), then incident, then blind.",
        empty=_NO_MODEL,
        unit="none",
        width=24,
        height=7,
    )
    return rows(says, "model", *_columns(), link=_OPEN_MODEL)


def _columns() -> list[Query]:
    incident = "retuned_open_incidents + retuned_incident_acknowledged_state + 2 * retuned_incident_muted_state"
    incidents = (("0", "none"), ("1", "open"), ("2", "acknowledged"), ("3", "muted"), ("4", "muted"))
    return [
        Query(
            expr=health(), name="Health", texts=HEALTH, colours=((None, GREEN), (1, BLUE), (2, ORANGE), (3, ORANGE), (4, RED)), width=130
        ),
        Query(expr="sum by (model) (rate(retuned_read_records_total[5m]))", name="Records/s", unit="short", decimals=1, width=90),
        Query(expr=score("value"), name="Score", unit="percentunit", decimals=1, width=75),
        Query(expr=score("low"), name="low", unit="percentunit", decimals=1, width=70),
        Query(expr=score("high"), name="high", unit="percentunit", decimals=1, width=70),
        Query(expr=evidence("model"), name="Evidence", unit="percentunit", decimals=0, colours=_TO_ALARM, is_bar=True, width=170),
        Query(expr=gap_of_allowed(), name="Gap", unit="percentunit", decimals=0, width=70),
        Query(
            expr=f"max by (model) ({incident})", name="Incident", texts=incidents, colours=((None, GREEN), (1, RED), (2, ORANGE)), width=115
        ),
        Query(expr="time() - max by (model) (retuned_incident_opened_timestamp_seconds)", name="open for", unit="s", decimals=1, width=100),
        Query(
            expr="time() - max by (model, state) (retuned_last_run_entered_timestamp_seconds)",
            name="in it for",
            labels=(("state", "Newest run"),),
            unit="s",
            decimals=1,
            width=100,
        ),
        Query(expr="max by (model) (retuned_champion_version_number)", name="Champion", width=95),
        Query(
            expr="time() - max by (model) (retuned_champion_since_timestamp_seconds)", name="champion for", unit="s", decimals=1, width=110
        ),
        Query(
            expr="max by (model) (retuned_paused_state)",
            name="Automatic",
            texts=(("0", "on"), ("1", "paused")),
            colours=((None, GREEN), (1, ORANGE)),
            width=100,
        ),
    ]


def _now() -> list[Any]:
    near = Says(
        title="Nearest to an alarm",
        shows="Of each model the detector whose evidence is furthest on its way: 1 = alarm.",
        do="Above 0.5 look at the model before it alarms; evidence falls again by itself when the cause goes.",
        empty="no detector has judged yet: references are being learned, or no record has come",
        unit="percentunit",
        width=8,
    )
    delay = Says(
        title="Labelled in the window",
        shows="Of the records kept in the window those that have a label by now.",
        do="Near 0 for a model whose labels should come: its labels are late or their ids match no record.",
        empty="no record in any window",
        unit="percentunit",
        width=8,
    )
    precision = Says(
        title="Were the alarms right?",
        shows="Of the incidents that people judged: real / (real + false), with an exact 95 % interval; expected ones are left out.",
        do="Low: raise `mean_days_between_false_alarms`, or learn a longer reference. Judge every incident that you close.",
        empty="no incident was judged yet: close one as real, false or expected",
        unit="percentunit",
        width=8,
    )
    share = "sum by (model) (retuned_window_labelled_records) / sum by (model) (retuned_window_sampled_records > 0)"
    judged = "sum by (model) (retuned_judged_incidents_total) > 0"
    return [
        bars(near, Query(expr=evidence("model"), name="{{model}}"), colours=_TO_ALARM, top=1.0),
        bars(delay, Query(expr=share, name="{{model}}"), colours=((None, BLUE),), top=1.0),
        rows(
            precision,
            "model",
            *(Query(expr=f'max by (model) (retuned_alarm_precision_ratio{{bound="{bound}"}})', name=name) for bound, name in _PRECISION),
            Query(expr=judged, name="judged", unit="none"),
        ),
    ]


_PRECISION = (("value", "real"), ("low", "low"), ("high", "high"))


def _scores() -> Any:  # noqa: ANN401 (the SDK's panels have no common type)
    says = Says(
        title="Score of $models",
        shows="The watched metric that stands worst, inside its interval, and what it is held to (dashed). A wide band: few labels.",
        do="The band below the dashed line: performance is degraded; open the model. A break in the line: too few labels to say.",
        empty="no labelled records of this model yet, or too few to say",
        unit="percentunit",
        width=24,
    )
    of = 'model=~"$models"'
    limit = Query(expr=score_limit(of), name="held to")
    value = Query(expr=score("value", of), name="score")
    return band(says, value=value, low=score("low", of), high=score("high", of), limits=[limit]).repeat("models")


def _lately() -> list[Any]:
    traffic = Says(
        title="Traffic",
        shows="Records a second by model, as they are read from the spool.",
        do="A line that falls to 0: the model server no longer posts what it answers.",
        empty="no record yet: POST /v1/records",
        unit="reqps",
    )
    to_alarm = Says(
        title="Evidence",
        shows="Of each model the detector nearest to its alarm, over time; 1 = alarm.",
        do="A steep rise is a change, a slow one a drift. Open the model to see which column or metric it is.",
        empty="no detector has judged yet",
        unit="percentunit",
    )
    alarms = Says(
        title="Alarms",
        shows="Detectors that went from quiet to alarm, by model and detector, in the time range above.",
        do="Many alarms of one detector and incidents judged false: its column is noisy; exclude it or raise the run length.",
        empty="no alarm in this time: good",
        unit="none",
    )
    incidents = Says(
        title="Open incidents",
        shows="1 while a model has an open incident.",
        do="An incident that never closes: it is still alarming, or `quiet_s` is long. A person can close and judge it.",
        empty=_NO_MODEL,
        unit="none",
    )
    one = Query(expr="vector(1)", name="alarm")
    return [
        series(traffic, Query(expr=f"sum by (model) (rate(retuned_read_records_total{RATE}))", name="{{model}}"), bottom=0.0),
        series(to_alarm, Query(expr=evidence("model"), name="{{model}}"), one, limits=["alarm"], bottom=0.0),
        bars(
            alarms,
            Query(expr="round(sum by (model, detector) (increase(retuned_alarms_total[$__range]))) > 0", name="{{model}} {{detector}}"),
            colours=((None, ORANGE),),
        ),
        series(incidents, Query(expr="max by (model) (retuned_open_incidents)", name="{{model}}"), top=1.0, bottom=0.0),
    ]
