"""Policy, incidents and the calendar: pure, so every case is an example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from daemon.decide.incident import AlarmKind, Change, Incident, alarm_kind, alarms, fold, still_held
from daemon.decide.policy import (
    Alert,
    History,
    Hold,
    Keep,
    PastRun,
    Retrain,
    Rollback,
    Rules,
    Sense,
    after_promotion,
    decide,
    silences,
    stand,
)
from daemon.decide.run import State
from daemon.decide.schedule import due, next_due
from daemon.settings import ModelSettings
from detectors.types import EDetectorValue, EValue, Evidence, Outcome, PValue, Verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
SOUNDING = EDetectorValue(log10_e=6.0, alpha=1e-5)


def verdict(detector: str, *, outcome: Outcome = Outcome.ALARM, evidence: Evidence = SOUNDING) -> Verdict:
    because = f"{detector} says so."
    return Verdict(detector=detector, subject="s", outcome=outcome, evidence=evidence, value=0.5, low=0.4, high=0.6, n=100, because=because)


DRIFT, RISK, FLOOR, FAIRNESS = (verdict(d) for d in ("text_witness", "risk_change", "f1_floor", "fairness_gap"))


def rules(**retrain: object) -> Rules:
    base = {"base_model": "package:x", "confirm_ticks": 2, **retrain}
    raw = {"name": "m", "task": "text-classification", "labels": ["a", "b"], "retrain": base}
    return Rules.of(ModelSettings.model_validate(raw))


def incident(*verdicts: Verdict) -> Incident:
    found, _ = fold(None, verdicts, model="m", epoch=1, now=NOW - HOUR, quiet_s=HOUR)
    assert found is not None
    return found


def history(*verdicts: Verdict, ticks: int = 2, **facts: object) -> History:
    held = incident(*verdicts) if verdicts else None
    standing: dict[str, int] = {}
    for _ in range(ticks):
        standing = stand(standing, verdicts, held)
    seen = {"watched_since": NOW - HOUR, "last_verdict_at": NOW, "last_label_at": NOW}
    return History(incident=held, standing=standing, **{**seen, **facts})  # type: ignore[arg-type]  # facts by name


def past(state: State, *, ended_h: float = 100.0, incident_id: str | None = None) -> PastRun:
    return PastRun(id="r1", state=state, ended_at=NOW - ended_h * HOUR, incident=incident_id)


def test_a_performance_alarm_starts_a_training_only_when_it_stands_long_enough() -> None:
    assert isinstance(decide([FLOOR], history(FLOOR, ticks=1), NOW, rules()), Hold)
    decision = decide([FLOOR], history(FLOOR, ticks=2), NOW, rules())
    assert isinstance(decision, Retrain)
    assert (decision.detector, decision.because) == ("f1_floor", "f1_floor says so.")


def test_a_trigger_that_goes_away_starts_anew() -> None:
    held = incident(FLOOR)
    standing = stand(stand({}, [FLOOR], held), [], held)
    assert standing == {}


def test_drift_alone_is_an_incident_and_no_training() -> None:
    assert isinstance(decide([DRIFT], history(DRIFT), NOW, rules()), Hold)


def test_drift_and_risk_in_one_incident_are_harmful_and_start_a_training() -> None:
    decision = decide([DRIFT, RISK], history(DRIFT, RISK), NOW, rules(on=["harmful_drift"]))
    assert isinstance(decision, Retrain)
    assert decision.kind == "harmful_drift"
    assert decision.detector == "risk_change"
    assert "drift of s" in decision.because
    rise = verdict("risk_judged_rise")
    assert isinstance(decide([DRIFT, rise], history(DRIFT, rise), NOW, rules(on=["harmful_drift"])), Retrain)
    assert isinstance(decide([rise], history(rise), NOW, rules(on=["performance"])), Retrain)
    assert isinstance(decide([RISK], history(RISK), NOW, rules(on=["harmful_drift"])), Hold)


def test_fairness_and_one_look_tests_never_start_a_training() -> None:
    look = verdict("accuracy", evidence=PValue(p=1e-9, alpha=0.01))
    assert alarms([look]) == []
    for one in (FAIRNESS, look):
        held = history(one) if one is FAIRNESS else history(ticks=0)
        assert isinstance(decide([one], held, NOW, rules()), Hold)


@pytest.mark.parametrize(
    ("facts", "settings", "kind", "word"),
    [
        ({"paused": True}, {}, Hold, "paused"),
        ({"runs": (PastRun(id="r1", state=State.TRAINING, ended_at=None, incident=None),)}, {}, Hold, "one at a time"),
        ({}, {"autonomy": "suggest"}, Alert, "suggested"),
        ({"runs": (past(State.KEPT, ended_h=23.0),)}, {}, Hold, "cool-down"),
        ({"runs": (past(State.KEPT, ended_h=25.0),)}, {}, Retrain, ""),
        ({"runs": (past(State.ROLLED_BACK),)}, {}, Alert, "needs a person"),
        ({"training_s": 10.0 * HOUR}, {}, Alert, "budget"),
        ({"runs": (past(State.REJECTED, incident_id="other"),)}, {}, Retrain, ""),
    ],
)
def test_what_stands_in_the_way_is_said(facts: dict[str, object], settings: dict[str, object], kind: type, word: str) -> None:
    decision = decide([FLOOR], history(FLOOR, **facts), NOW, rules(**settings))
    assert isinstance(decision, kind)
    assert word in decision.because


@pytest.mark.parametrize("state", [State.REJECTED, State.INCONCLUSIVE, State.INVALID, State.FAILED])
def test_a_run_that_led_nowhere_is_not_repeated_for_the_same_incident(state: State) -> None:
    runs = (past(state, incident_id=incident(FLOOR).id),)
    decision = decide([FLOOR], history(FLOOR, runs=runs), NOW, rules())
    assert isinstance(decision, Hold)
    assert "not repeated" in decision.because


@pytest.mark.parametrize("is_unwanted", [True, False])
def test_a_run_that_a_person_cancelled_is_not_repeated_for_its_incident_and_one_that_was_overtaken_is(*, is_unwanted: bool) -> None:
    runs = (replace(past(State.CANCELLED, incident_id=incident(FLOOR).id), is_unwanted=is_unwanted),)
    decision = decide([FLOOR], history(FLOOR, runs=runs), NOW, rules())
    assert isinstance(decision, Hold if is_unwanted else Retrain)


def test_a_model_without_retrain_settings_is_only_watched() -> None:
    watched = Rules(retrain=None, blind_after_s=HOUR, labels_expected=False)
    assert isinstance(decide([FLOOR], history(FLOOR), NOW, watched), Hold)


def test_being_blind_for_long_is_an_alert_once_a_silence() -> None:
    silent = history(watched_since=NOW - 100 * HOUR, last_verdict_at=NOW - 25 * HOUR)
    first, later = decide([], silent, NOW, rules()), decide([], silent, NOW + HOUR, rules())
    assert isinstance(first, Alert)
    assert isinstance(later, Alert)
    assert first.key == later.key
    unlabelled = decide([], history(watched_since=NOW - 100 * HOUR, last_label_at=None), NOW, rules())
    assert isinstance(unlabelled, Alert)
    assert "label" in unlabelled.because
    assert set(silences(history(watched_since=NOW - 100 * HOUR, last_verdict_at=None, last_label_at=None), NOW, rules())) == {
        Sense.VERDICT,
        Sense.LABEL,
    }
    assert silences(silent, NOW, Rules(retrain=None, blind_after_s=26 * HOUR, labels_expected=False)) == {}


@pytest.mark.parametrize("task", ["tabular-regression", "text-generation"])
def test_labels_that_never_come_are_told_of_numbers_and_judged_texts_where_they_are_expected(task: str) -> None:
    def told(**said: object) -> bool:
        model = ModelSettings.model_validate({"name": "m", "task": task, **said})
        return Sense.LABEL in silences(history(watched_since=NOW - 100 * HOUR, last_label_at=None), NOW, Rules.of(model))

    assert not told()
    assert told(labels_expected=True)
    assert told(monitors={"performance": {}})
    assert not told(labels_expected=False, monitors={"performance": {}})
    assert told(labels_expected=True, monitors={"performance": None})  # of these labels may be for fairness


def test_the_calendar_is_caught_up_once_after_an_outage() -> None:
    daily = rules(on=["schedule"], schedule="0 3 * * *", cooldown_h=0)
    decision = decide([], history(watched_since=NOW - 90 * HOUR), NOW, daily)
    assert isinstance(decision, Retrain)
    assert datetime.fromtimestamp(decision.at, UTC).isoformat() == "2026-11-23T03:00:00+00:00"
    after = history(watched_since=NOW - 90 * HOUR, scheduled_at=decision.at)
    assert isinstance(decide([], after, NOW, daily), Hold)
    assert isinstance(decide([], after, NOW + 15 * HOUR + 1, daily), Retrain)


def test_due_times_are_strictly_after_and_none_is_due_twice() -> None:
    at = next_due("0 3 * * *", NOW)
    assert at is not None
    assert next_due("0 3 * * *", at) == at + 86_400.0
    assert due("0 3 * * *", at, at) is None
    assert due("0 3 * * *", at - 1, at) == at
    with pytest.raises(ValueError, match="Wrong number of fields"):
        next_due("every day", NOW)


def test_the_watch_ends_by_evidence_or_at_its_deadline_and_never_while_paused() -> None:
    common = {"n": 50, "promoted_at": NOW, "watch_s": HOUR}
    assert isinstance(after_promotion("worse", now=NOW, paused=False, **common), Rollback)  # type: ignore[arg-type]
    kept = after_promotion("not_worse", now=NOW, paused=False, **common)  # type: ignore[arg-type]
    assert isinstance(kept, Keep)
    assert kept.because.startswith("proven not worse")
    late = after_promotion("undecided", now=NOW + HOUR, paused=False, **common)  # type: ignore[arg-type]
    assert isinstance(late, Keep)
    assert late.because.endswith("kept, unproven")
    assert isinstance(after_promotion("undecided", now=NOW, paused=False, **common), Hold)  # type: ignore[arg-type]
    assert isinstance(after_promotion("worse", now=NOW + HOUR, paused=True, **common), Hold)  # type: ignore[arg-type]


def test_an_incident_lives_until_every_subject_is_quiet_or_the_epoch_ends() -> None:
    held = incident(DRIFT)
    more, change = fold(held, [RISK], model="m", epoch=1, now=NOW, quiet_s=HOUR)
    assert more is not None
    assert (change, more.harmful, len(more.subjects), more.opened_at) == (Change.EXTENDED, True, 2, NOW - HOUR)
    same, change = fold(more, [], model="m", epoch=1, now=NOW + HOUR - 1, quiet_s=HOUR)
    assert (same, change) == (more, Change.NONE)
    quiet, change = fold(more, [], model="m", epoch=1, now=NOW + HOUR, quiet_s=HOUR)
    assert quiet is not None
    assert (change, quiet.closed_at) == (Change.CLOSED, NOW + HOUR)
    _, change = fold(more, [DRIFT], model="m", epoch=2, now=NOW, quiet_s=HOUR)
    assert change is Change.CLOSED
    assert fold(None, [], model="m", epoch=1, now=NOW, quiet_s=HOUR) == (None, Change.NONE)


def test_what_a_person_closed_opens_nothing_by_itself_but_joins_what_another_subject_opens() -> None:
    closed = {"text_witness:s": NOW - HOUR / 2}
    common = {"model": "m", "epoch": 1, "now": NOW, "quiet_s": HOUR, "held": closed}
    assert fold(None, [DRIFT], **common) == (None, Change.NONE)  # type: ignore[arg-type]  # by name
    opened, change = fold(None, [DRIFT, RISK], **common)  # type: ignore[arg-type]
    assert opened is not None
    assert (change, opened.harmful, len(opened.subjects)) == (Change.OPENED, True, 2)


def test_what_a_person_closed_is_held_until_it_has_been_quiet() -> None:
    closed = {"text_witness:s": NOW - HOUR / 2, "risk_change:s": NOW - HOUR / 2}
    held = still_held(closed, {"text_witness:s"}, now=NOW, quiet_s=HOUR)
    assert held == {"text_witness:s": NOW, "risk_change:s": NOW - HOUR / 2}
    assert still_held(held, set(), now=NOW + HOUR / 2, quiet_s=HOUR) == {"text_witness:s": NOW}
    assert still_held(held, set(), now=NOW + HOUR, quiet_s=HOUR) == {}


def test_an_alarm_is_about_what_its_detector_eats() -> None:
    kinds = {"text_witness": AlarmKind.DRIFT, "risk": AlarmKind.RISK, "recall_floor": AlarmKind.PERFORMANCE, "a_plug_in": AlarmKind.DRIFT}
    assert {name: alarm_kind(name) for name in kinds} == kinds
    assert alarm_kind("fairness_gap") is AlarmKind.FAIRNESS
    assert len(alarms([verdict("risk", evidence=EValue(log10_e=3.0, alpha=0.01))])) == 1
