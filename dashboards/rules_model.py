"""Rules about a model: is it harmed, is it seen, what became of its retrainings and of its champion.

An incident is one alert of each kind, whatever the number of its subjects, and none while a person has acknowledged or muted it.
"""

from __future__ import annotations

from dashboards.rule import Alert, Recorded, Severity
from dashboards.words import OF_MODEL, each, figure, figures, since

_OF = "by (namespace, job, model)"
_ON = "on (namespace, job, model)"

_FAST = "risk.*_(change|rise)|.+_floor|.+_ceiling"
_SLOW = "risk|risk_value|risk_judged"
_CALIBRATION = "calibration_change|conformal_residual"
_FAIR = "fairness_.+"
_DAMAGE = "(missing|wrong_type|out_of_range|unseen_category|duplicate_.+)_rise"
_WORSE = f"{_FAST}|{_SLOW}|{_FAIR}|{_CALIBRATION}"
"""The model is worse. Whatever is none of these and no damage is drift, a plug-in's too: no incident is without an alert."""
_DRIFT = "conformal_.+|text_.+|embedding_.+|domain_classifier"
"""Of drift, those whose figures are told."""

_INCIDENT = {"incident_url": "/models/{{ $labels.model }}/incident"}
_MODEL = {"model_url": "/models/{{ $labels.model }}"}


_STATES = {
    "incident_subjects": ", detector",
    "incident_opened_timestamp_seconds": "",
    "incident_harmful_state": "",
    "incident_acknowledged_state": "",
    "incident_muted_state": "",
    "blind_state": ", reason",
    "paused_state": "",
    "served_ratio": "",
    "alias_lag_seconds": "",
    "run_entered_timestamp_seconds": ", state",
}
"""What alerts ask for -> labels beside the model's."""


def _alarmed(detectors: str) -> str:
    return f'retuned:incident_subjects:unheeded{{detector=~"{detectors}"}}'


def _happened(counter: str, window: str) -> str:
    return f"sum {_OF} (increase({counter}[{window}])) > 0"


RECORDED = (
    *(
        Recorded(name=f"retuned:{what}:max", expr=f"max by (namespace, job, model{more}) (retuned_{what})", is_lasting=True)
        for what, more in _STATES.items()
    ),
    Recorded(
        name="retuned:incident_subjects:unheeded",
        expr=f"""
        retuned:incident_subjects:max
        unless {_ON} retuned:incident_acknowledged_state:max > 0
        unless {_ON} retuned:incident_muted_state:max > 0
        """,
    ),
    Recorded(
        name="retuned:alarming_figure:value",
        expr="""
        max by (namespace, job, model, detector, subject, bound) (retuned_figure_value)
        and on (namespace, job, model, detector, subject)
        (max by (namespace, job, model, detector, subject) (retuned_figure_outcome_state{outcome="alarm"}) > 0)
        """,
        is_lasting=True,
    ),
    Recorded(name="retuned:read_records:rate1h", expr=f"sum {_OF} (rate(retuned_read_records_total[1h]))"),
    Recorded(name="retuned:ended_runs:max", expr="max by (namespace, job, model, state) (retuned_ended_runs_total)"),
    Recorded(name="retuned:champion_moves:max", expr="max by (namespace, job, model, reason) (retuned_champion_moves_total)"),
    Recorded(name="retuned:alias_moves:max", expr="max by (namespace, job, model, reason) (retuned_alias_moves_total)"),
)

HARM = (
    Alert(
        name="RetunedHarmfulDrift",
        severity=Severity.PAGE,
        expr=f"retuned:incident_harmful_state:max > 0 and {_ON} retuned:incident_subjects:unheeded",
        summary="{{ $labels.model }}: traffic changed and the model is worse for it",
        says=f"Drift and a risen loss in one incident; drift is told as a distance from the reference, 0 is alike.{figures('.+')}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedPerformanceDegradedFast",
        severity=Severity.PAGE,
        expr=f"count {_OF} ({_alarmed(_FAST)}) > 0",
        summary="{{ $labels.model }} has become worse",
        says=f"Recent labels say so.{figures(_FAST)}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedPerformanceDegradedSlow",
        severity=Severity.TICKET,
        expr=f"count {_OF} ({_alarmed(_SLOW)}) > 0 unless {_ON} {_alarmed(_FAST)}",
        summary="{{ $labels.model }} is worse than it was bound to be",
        says=f"Over all labels of this version together, though no recent stretch stands out.{figures(_SLOW)}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedFairnessBreach",
        severity=Severity.PAGE,
        expr=f"count {_OF} ({_alarmed(_FAIR)}) > 0",
        summary="{{ $labels.model }} treats groups more unequally than is allowed",
        says=f"The interval of the gap is beyond its limit, all of it.{figures(_FAIR)}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedCalibrationOff",
        severity=Severity.TICKET,
        expr=f"count {_OF} ({_alarmed(_CALIBRATION)}) > 0",
        summary="{{ $labels.model }}: its confidence, or the level of its numbers, is off",
        says="Otherwise than in the bound rows. Calibration below 0: too sure of itself. Residual above 0: answers too high, by so much."
        f"{figures(_CALIBRATION)}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedDataQuality",
        severity=Severity.TICKET,
        expr=f"count {_OF} ({_alarmed(_DAMAGE)}) > 0",
        summary="{{ $labels.model }}: its data come damaged",
        says=f"Shares of values or records, above the reference's by more than the tolerance.{figures(_DAMAGE)}{since()}",
        links=_INCIDENT,
    ),
    Alert(
        name="RetunedDrift",
        severity=Severity.INFO,
        expr=f"""
        count {_OF} (retuned:incident_subjects:unheeded{{detector!~"{_WORSE}|{_DAMAGE}"}}) > 0
        unless {_ON} {_alarmed(_WORSE)}
        """,
        summary="{{ $labels.model }}: traffic changed; no label says yet that it hurts",
        says=f"Told as distances from the reference, 0 is alike.{figures(_DRIFT)}{since()}",
        links=_INCIDENT,
    ),
)

SIGHT = (
    Alert(
        name="RetunedBlind",
        severity=Severity.TICKET,
        expr=f"max {_OF} (retuned:blind_state:max) > 0",
        summary="{{ $labels.model }} is not seen",
        says=(
            f"Missing for longer than blind_after_s:{each('retuned:blind_state:max{} > 0', 'reason')}. "
            "Without verdicts nobody sees it change, without labels nobody knows how good it is."
        ),
        links=_MODEL,
    ),
    Alert(
        name="RetunedTextsNotEmbedded",
        severity=Severity.TICKET,
        lasts="15m",
        expr=f"""
        sum {_OF} (rate(retuned_texts_total{{outcome=~"late|unavailable|overload"}}[30m]))
        / (sum {_OF} (rate(retuned_texts_total{{outcome!~"sampled_out|no_text"}}[30m])) > 0) > 0.5
        """,
        summary="{{ $labels.model }}: {{ $value | humanizePercentage }} of the sampled texts are not embedded",
        says=(
            "Its encoder is down, too slow, or lost again and again. What the texts mean is not watched meanwhile; everything else is. "
            "The service's health has the reason."
        ),
        links={"health_url": "/healthz"},
    ),
    Alert(
        name="RetunedNoTraffic",
        severity=Severity.TICKET,
        lasts="15m",
        expr=f"""
        retuned:read_records:rate1h == 0
        and {_ON}
        ((retuned:read_records:rate1h offset 1w) or (retuned:read_records:rate1h offset 1d)
        or avg_over_time(retuned:read_records:rate1h[6h])) > 0
        """,
        summary="{{ $labels.model }}: no record for more than an hour",
        says="At this time a week ago (a day ago for a younger model, in the last six hours for a new one) there were records.",
        links=_MODEL,
    ),
)

RUNS = (
    Alert(
        name="RetunedRunFailed",
        severity=Severity.TICKET,
        expr=_happened('retuned:ended_runs:max{state=~"failed|invalid"}', "6h"),
        summary="{{ $labels.model }}: a retraining failed",
        says="The champion is what it was. The same incident starts no other retraining by itself.",
        links=_MODEL,
    ),
    Alert(
        name="RetunedRunStuck",
        severity=Severity.TICKET,
        expr=f"""
        max {_OF} (
        time() - retuned:run_entered_timestamp_seconds:max{{state=~"planned|dataset|evaluating|gated|registered|promoted"}} > 6 * 3600
        or
        time() - retuned:run_entered_timestamp_seconds:max{{state="training"}} > 24 * 3600
        ) unless {_ON} retuned:paused_state:max > 0
        """,
        summary="{{ $labels.model }}: a retraining does not get on",
        says=f"For {{{{ $value | humanizeDuration }}}} it has been:{each('retuned:run_entered_timestamp_seconds:max{}', 'state')}.",
        links=_MODEL,
    ),
    Alert(
        name="RetunedRunAwaitingApproval",
        severity=Severity.TICKET,
        expr=f'max {_OF} (retuned:run_entered_timestamp_seconds:max{{state="awaiting_approval"}}) > 0',
        summary="{{ $labels.model }}: a retrained version waits for your decision",
        says="It waits since {{ $value | humanizeTimestamp }}. Until somebody decides, the champion stays.",
        links=_MODEL,
    ),
)

CHAMPION = (
    Alert(
        name="RetunedPromoted",
        severity=Severity.INFO,
        expr=_happened('retuned:champion_moves:max{reason="promoted"}', "1h"),
        summary="{{ $labels.model }} has a new champion",
        says="It is watched against its predecessor on the same records, and rolled back when it proves worse.",
        links=_MODEL,
    ),
    Alert(
        name="RetunedPromotedNotServed",
        severity=Severity.TICKET,
        lasts="15m",
        expr=f"""
        retuned:served_ratio:max < 0.5
        and {_ON} (sum {_OF} (retuned:champion_moves:max{{reason=~"promoted|rolled_back"}}) > 0)
        """,
        summary="{{ $labels.model }}: the champion is not what answers",
        says=(
            "Only {{ $value | humanizePercentage }} of the newest records name the champion's version."
            f"{figure('max(retuned_champion_since_timestamp_seconds{})', OF_MODEL, ' It is champion since ', 'humanizeTimestamp', '.')}"
            " What another version answers is not judged."
        ),
        links=_MODEL,
    ),
    Alert(
        name="RetunedRolledBack",
        severity=Severity.TICKET,
        expr=_happened('retuned:champion_moves:max{reason="rolled_back"}', "6h"),
        summary="{{ $labels.model }} was rolled back",
        says="The former champion answers again; the version that it replaces is barred, and the next retraining needs a person.",
        links=_MODEL,
    ),
    Alert(
        name="RetunedAliasMoved",
        severity=Severity.TICKET,
        expr=_happened("retuned:alias_moves:max", "1h"),
        summary="{{ $labels.model }}: somebody else moved the champion in the registry",
        says=f"What was done about it:{each('increase(retuned:alias_moves:max{}[1h]) > 0', 'reason')}.",
        links=_MODEL,
    ),
    Alert(
        name="RetunedRegistryBehind",
        severity=Severity.TICKET,
        lasts="5m",
        expr="retuned:alias_lag_seconds:max > 900",
        summary="{{ $labels.model }}: the registry does not say who is champion",
        says=(
            "For {{ $value | humanizeDuration }} the registry has not answered, or its alias differs from the ledger. "
            "Model servers that follow the alias may serve another version; what is promoted or rolled back does not reach them."
        ),
        links=_MODEL,
    ),
)

ALERTS = (*HARM, *SIGHT, *RUNS, *CHAMPION)
