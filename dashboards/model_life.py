"""Where one model stands, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import BLUE, GREEN, GREY, ORANGE, RED, Query, Says, number, series
from dashboards.queries import HEALTH, health

if TYPE_CHECKING:
    from typing import Any

_MODEL = 'model="$model"'
_NONE = "no such model in this time"


_STATE = Says(
    title="Health",
    shows="The worst that holds: fine, learning its reference, blind, in an incident, in a harmful incident (drift and loss together).",
    do="blind: no verdict or no label came for `blind_after_s`. Incident: open the model's page by the link above.",
    empty=_NONE,
    unit="none",
    width=4,
    height=4,
)
_CHAMPION = Says(
    title="Champion",
    shows="The version that answers, by the ledger.",
    do="Not the one you expect: `retuned status` says since when and why.",
    empty="its version is no number, or no record has come",
    unit="none",
    width=3,
    height=4,
)
_SINCE = Says(
    title="Champion for",
    shows="How long the present champion has been it.",
    do="A short time: evidence starts anew with each champion, so its figures are still wide.",
    empty="no champion yet",
    unit="s",
    width=4,
    height=4,
)
_SERVED = Says(
    title="Served",
    shows="Share of the newest records that the champion answered.",
    do="Below 1 for long after a promotion: a model server has not loaded the champion.",
    empty="no record since it became champion",
    unit="percentunit",
    width=3,
    height=4,
)
_LEARNED = Says(
    title="Reference",
    shows="How much of the reference is learned; 100 % = pinned, drift is watched.",
    do="Stays low: too little traffic for `learn_n`; give a file as reference.",
    empty="no champion yet",
    unit="percentunit",
    width=3,
    height=4,
)
_INCIDENT = Says(
    title="Incident open for",
    shows="How long the open incident has been open.",
    do="Acknowledge it so that others know; judge it real, false or expected when you close it.",
    empty="none is open",
    unit="s",
    width=4,
    height=4,
)
_AUTOMATIC = Says(
    title="Automatic",
    shows="Whether the service may retrain and promote by itself, as far as `autonomy` goes.",
    do="paused: `retuned resume MODEL` when the reason is gone.",
    empty=_NONE,
    unit="none",
    width=3,
    height=4,
)


def now() -> list[Any]:
    """One line of figures."""
    fine = ((None, GREEN), (1.0, BLUE), (2.0, ORANGE), (3.0, ORANGE), (4.0, RED))
    of = f"{{{_MODEL}}}"
    return [
        number(_STATE, Query(expr=health(_MODEL), name="health", texts=HEALTH), colours=fine),
        number(_CHAMPION, Query(expr=f"max(retuned_champion_version_number{of})", name="version")),
        number(_SINCE, Query(expr=f"time() - max(retuned_champion_since_timestamp_seconds{of})", name="since")),
        number(_SERVED, Query(expr=f"min(retuned_served_ratio{of})", name="served"), colours=((None, ORANGE), (0.99, GREEN))),
        number(_LEARNED, Query(expr=f"max(retuned_learned_ratio{of})", name="learned"), colours=((None, BLUE), (1.0, GREEN))),
        number(_INCIDENT, Query(expr=f"time() - max(retuned_incident_opened_timestamp_seconds{of})", name="open"), colours=((None, RED),)),
        number(
            _AUTOMATIC,
            Query(expr=f"max(retuned_paused_state{of})", name="paused", texts=(("0", "on"), ("1", "paused"))),
            colours=((None, GREEN), (1.0, ORANGE)),
        ),
    ]


_WINDOW = Says(
    title="Records in the window",
    shows="What the figures above speak of: all records of the window, those kept by the sampling, and labelled pairs.",
    do="Few labelled: performance is known badly. Few seen: traffic has gone.",
    empty="no record yet",
    unit="none",
)
_ALARMS = Says(
    title="Alarms",
    shows="Detectors that went from quiet to alarm in the last hour.",
    do="One detector again and again, judged false: exclude its column, or raise the run length.",
    empty="no alarm yet: good",
    unit="none",
)
_RUNS = Says(
    title="Retrainings by state",
    shows="Retrainings of the model in each state; final states keep theirs.",
    do="awaiting_approval: read its gates and approve it, or leave it. collecting: it waits for labels. inconclusive: too few came.",
    empty="no retraining yet",
    unit="none",
)
_MOVES = Says(
    title="Champion and epoch",
    shows="The champion's version and the epoch over time: promotions, rollbacks, adoptions. A new epoch starts evidence anew.",
    do="A move that nobody of you made: somebody moved an alias in the registry; see the model's page.",
    empty="no champion yet",
    unit="none",
)


def life() -> list[Any]:
    """Traffic, alarms, runs and moves over time."""
    of = f"{{{_MODEL}}}"
    seen, kept, labelled = (Query(expr=f"max(retuned_window_{what}_records{of})", name=what) for what in ("seen", "sampled", "labelled"))
    return [
        series(_WINDOW, seen, kept, labelled, bottom=0.0),
        series(
            _ALARMS, Query(expr=f"round(sum by (detector) (increase(retuned_alarms_total{of}[1h]))) > 0", name="{{detector}}"), bottom=0.0
        ),
        series(_RUNS, Query(expr=f"sum by (state) (retuned_runs{of}) > 0", name="{{state}}"), bottom=0.0),
        series(
            _MOVES,
            Query(expr=f"max(retuned_champion_version_number{of})", name="version"),
            Query(expr=f"max(retuned_epoch_number{of})", name="epoch"),
            colours={"epoch": GREY},
            bottom=0.0,
        ),
    ]
