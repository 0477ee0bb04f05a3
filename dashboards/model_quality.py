"""How good one model is, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import Query, Says, band, rows, series
from dashboards.queries import GAP, OWN_UNIT, PERFORMANCE, PREDICTED, evidence, figure

if TYPE_CHECKING:
    from typing import Any

_MODEL = 'model="$model"'


_METRIC = Says(
    title="$metric",
    shows="The metric among the labelled records of the window, inside its exact 95 % interval; dashed: the floor that is watched. Grey: "
    "the interval that these labels and the scores of all records give together (accuracy, precision, recall, F1).",
    do="The line below the floor is no alarm by itself: the evidence says when it is. Few labels make the band wide.",
    empty="too few labelled records in the window to say",
    unit="percentunit",
    width=24,
)
_ERROR = Says(
    title="$error",
    shows="The error among the labelled records of the window, inside its 95 % interval, in its own unit; dashed: the ceiling.",
    do="The line above the ceiling is no alarm by itself: the evidence says when it is. Few labels make the band wide.",
    empty="too few labelled records in the window to say, or this model has no such figure",
    unit="none",
    width=24,
)
_LOSS = Says(
    title="Loss against its bound and what was usual",
    shows="Share of wrong answers (judged answers: 1 less the score) on the latest labelled records with its interval; dashed: the "
    "source's loss bound plus tolerance, and what was usual before plus tolerance.",
    do="The band above a dashed line with drift at the same time is a harmful drift: retraining is due.",
    empty="no labelled record yet, or neither `performance` nor a bound to hold it to: see `retuned check`",
    unit="percentunit",
)
_PROOF = Says(
    title="Evidence: performance, loss, fairness",
    shows="How far each watched figure is on its way to an alarm; 1 = alarm. It gathers while a figure is too bad, and falls after.",
    do="At 1 an incident opens. Slow but steady growth is a small loss that will be proven: look for its cause now.",
    empty="nothing of this is watched yet: see `retuned check`",
    unit="percentunit",
)


def _either(what: str, first: str, second: str) -> str:
    return f"max({figure(what, first)}) or max({figure(what, second)})"


def performance() -> list[Any]:
    """Every metric and error inside its interval and against its limit; the loss against its bound; the evidence of both."""
    window, floor = f'{_MODEL}, {PERFORMANCE}, subject=~"$metric"', f'{_MODEL}, subject=~"$metric"'
    predicted = f'{_MODEL}, {PREDICTED}, subject=~"$metric"'
    off = f'{_MODEL}, {OWN_UNIT}, subject=~"$error"'
    bound, usual = (f'{_MODEL}, subject="risk", detector=~"risk(_judged)?_{kind}"' for kind in ("change", "rise"))
    gathered = evidence(
        "subject, detector", f'{_MODEL}, detector=~".+_floor|.+_ceiling|risk.*|calibration_change|conformal_residual|fairness_.+"'
    )
    return [
        band(
            _METRIC,
            value=Query(expr=f"max({figure('value', window)})", name="metric"),
            low=f"max({figure('low', window)})",
            high=f"max({figure('high', window)})",
            limits=[Query(expr=f"max(retuned_figure_limit{{{floor}}})", name="floor")],
            beside=[Query(expr=f"max({figure(bound, predicted)})", name=f"{bound} with scores") for bound in ("low", "high")],
        ).repeat("metric"),
        band(
            _ERROR,
            value=Query(expr=f"max({figure('value', off)})", name="error"),
            low=f"max({figure('low', off)})",
            high=f"max({figure('high', off)})",
            limits=[Query(expr=f'max(retuned_figure_limit{{{_MODEL}, subject=~"$error"}})', name="ceiling")],
            top=None,
        ).repeat("error"),
        band(
            _LOSS,
            value=Query(expr=_either("value", bound, usual), name="loss"),
            low=_either("low", bound, usual),
            high=_either("high", bound, usual),
            limits=[
                Query(expr=f"max(retuned_figure_limit{{{bound}}})", name="bound"),
                Query(expr=f"max(retuned_figure_limit{{{usual}}})", name="usual"),
            ],
        ),
        series(
            _PROOF,
            Query(expr=gathered, name="{{detector}} {{subject}}"),
            Query(expr="vector(1)", name="alarm"),
            limits=["alarm"],
            bottom=0.0,
        ),
    ]


_GAP = Says(
    title="$gap",
    shows="The largest difference between two groups in the window's labelled records, with its interval (demographic parity ratio: the "
    "smallest rate over the largest, 1 = alike); dashed: the limit. 0.1 = ten points; a score's is in its own unit.",
    do="It alarms only when the lower end is above the limit for good (the ratio: the upper end below). See which group it is.",
    empty="fairness is not watched (`monitors.fairness`), or a group has too few labelled records",
    unit="none",
    width=24,
)
_LINES = Says(
    title="Rates by group of $protected",
    shows="How often each group gets the favourable answer: where it is right (true positive) and where it is not (false positive).",
    do="Groups that drift apart: look at their records of this time; labels that come for one group only mislead here.",
    empty="no group of this column has enough labelled records in the window (`fairness.min_n`)",
    unit="percentunit",
    width=24,
)
_RATES = (("ratio", ""), ("shrunk_ratio", "shrunk "))
_TABLE = Says(
    title="Groups of $protected now",
    shows="Each group's rates with exact 95 % intervals and the labelled records behind them. Shrunk: of a group with too few of them "
    "(`fairness.min_n`), drawn towards all groups' rates, true if the groups are alike. (other): not in the reference.",
    do="Intervals that overlap prove no gap, and a shrunk rate proves nothing: ask for more labels of that group before you judge.",
    empty="no labelled record with a group of this column in the window",
    unit="percentunit",
    width=24,
)


def fairness() -> list[Any]:
    """The gap against its maximum, and the groups behind it."""
    on, of = f'{_MODEL}, {GAP}, subject=~"$gap"', f'{_MODEL}, column="$protected"'
    bounds = [(name, prefix, bound) for name, prefix in _RATES for bound in ("value", "low", "high")]
    return [
        band(
            _GAP,
            value=Query(expr=f"max({figure('value', on)})", name="gap"),
            low=f"max({figure('low', on)})",
            high=f"max({figure('high', on)})",
            limits=[Query(expr=f"max(retuned_figure_limit{{{on}}})", name="limit")],
            top=None,
        ).repeat("gap"),
        series(_LINES, Query(expr=_rate("ratio", of + ', rate!="positive"', "value"), name="{{group}} {{rate}}"), top=1.0, bottom=0.0),
        rows(
            _TABLE,
            "group",
            *(
                Query(expr=_rate(name, of, bound), name=prefix + bound, decimals=1, labels=(("rate", "rate"),))
                for name, prefix, bound in bounds
            ),
            Query(expr=f"max by (group, rate) (retuned_group_rate_records{{{of}}})", name="labelled", unit="none"),
        ),
    ]


def _rate(name: str, where: str, bound: str) -> str:
    return f'max by (group, rate) (retuned_group_rate_{name}{{{where}, bound="{bound}"}})'
