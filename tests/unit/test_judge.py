"""Learning is not blindness; silence is. And one setting of a user becomes every monitor's alpha."""

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.decide import policy
from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import alpha_per_pane
from daemon.judge import Judge
from daemon.settings import Settings
from daemon.store import champions, epochs, incidents, judgements, outbox, verdicts
from daemon.store.ledger import Ledger
from daemon.store.panes import Windows
from daemon.watch import Watch
from detectors.types import EDetectorValue, Kind, Outcome, Pairs, Reference, Verdict

DAY = 86_400.0
CALM = EDetectorValue(log10_e=0.0, alpha=1e-5)
NOTHING = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    found.migrate()
    return found


def two_lines(folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder, "models": [{"name": "chat", "task": "text-generation"}]})


def decision(ledger: Ledger, judge: Judge, settings: Settings, now: float) -> policy.Decision:
    with ledger.begin() as tx:
        return judge.decide(tx, settings.models[0], now)


def test_a_model_that_is_learning_wakes_nobody(tmp_path: Path, ledger: Ledger) -> None:
    settings = two_lines(tmp_path)
    judge = Judge(settings, Windows())
    with ledger.begin() as tx:
        champions.adopt(tx, "chat", "1", now=DAY, because="a test")
    assert isinstance(decision(ledger, judge, settings, 6 * DAY), policy.Hold)


def test_a_model_whose_first_record_never_comes_is_told_after_a_day(tmp_path: Path, ledger: Ledger) -> None:
    settings = two_lines(tmp_path)
    judge = Judge(settings, Windows())
    assert isinstance(decision(ledger, judge, settings, DAY), policy.Hold)
    told = decision(ledger, judge, settings, 2.1 * DAY)
    assert isinstance(told, policy.Alert)
    assert "nothing is being watched" in told.because


def test_that_a_blind_model_is_seen_again_is_told_once(tmp_path: Path, ledger: Ledger) -> None:
    settings = two_lines(tmp_path)
    judge = Judge(settings, Windows())
    decision(ledger, judge, settings, DAY)
    decision(ledger, judge, settings, 2.1 * DAY)
    decision(ledger, judge, settings, 2.2 * DAY)
    said = Verdict(detector="d", subject="x", outcome=Outcome.OK, evidence=CALM, value=0.5, low=0.4, high=0.6, n=9, because="Nothing.")
    with ledger.begin() as tx:
        champions.adopt(tx, "chat", "1", now=2.25 * DAY, because="a test")
        verdicts.save(tx, "chat", [said], at=2.3 * DAY, epoch=1)
    decision(ledger, judge, settings, 2.3 * DAY)
    decision(ledger, judge, settings, 2.4 * DAY)
    with ledger.read() as tx:
        told = [m.payload for m in outbox.pending(tx, kind="notify")]
    assert [m["what"] for m in told] == ["blind", "blind.over"]
    assert told[1]["because"] == "verdicts come again, after none for 31 h since 1970-01-02 00:00 UTC"


def test_a_silence_that_ends_by_a_promotion_alone_is_not_told_as_heard() -> None:
    history = policy.History(watched_since=3 * DAY, last_verdict_at=DAY, last_label_at=DAY)
    assert policy.heard_again({policy.Sense.LABEL: DAY}, history, 3 * DAY) == {}


def test_a_reference_that_cannot_be_read_blinds_one_model_at_once_until_it_is_mended(tmp_path: Path, ledger: Ledger) -> None:
    file = tmp_path / "reference.jsonl"
    file.write_text('{"inputs": {"x": 1}}\nno JSON\n')
    column = {"columns": {"x": "numeric"}, "task": "tabular-regression"}
    models = [{"name": "chat", **column, "reference": {"kind": "file", "path": str(file)}}, {"name": "other", **column}]
    settings = Settings.model_validate({"data_dir": tmp_path, "models": models})
    judge = Judge(settings, Windows())
    with ledger.begin() as tx:
        held = champions.adopt(tx, "chat", "1", now=DAY, because="a test")
        epochs.pin_reference(tx, "chat", held.epoch, path=str(file), digest="d", now=DAY)
    told = decision(ledger, judge, settings, DAY + 1)
    assert isinstance(told, policy.Alert)
    assert told.because.startswith(f"nothing is being watched: {file}, row 2: ")
    assert judge.blind["chat"] == {policy.Sense.VERDICT}
    with ledger.begin() as tx:
        assert isinstance(judge.decide(tx, settings.models[1], DAY + 1), policy.Hold)
    file.write_text('{"inputs": {"x": 1}}\n')
    assert isinstance(decision(ledger, judge, settings, DAY + 30), policy.Alert)
    assert isinstance(decision(ledger, judge, settings, DAY + 90), policy.Hold)


def test_an_alarm_of_a_monitor_that_was_taken_out_of_the_settings_acts_no_more(tmp_path: Path, ledger: Ledger) -> None:
    file = tmp_path / "reference.jsonl"
    file.write_text('{"inputs": {"x": 1}, "output": {"label": "a"}}\n')
    model = {"name": "m", "task": "text-classification", "labels": ["a", "b"], "columns": {"x": "numeric"}}
    model |= {"retrain": {"base_model": "x", "confirm_ticks": 1}, "monitors": {"performance": None}}
    settings = Settings.model_validate({"data_dir": tmp_path, "models": [model]})
    with ledger.begin() as tx:
        held = champions.adopt(tx, "m", "1", now=DAY, because="a test")
        epochs.pin_reference(tx, "m", held.epoch, path=str(file), digest="d", now=DAY)
        verdicts.save(tx, "m", [_alarm("risk_change"), replace(_alarm("missing_rise"), subject="input.x")], at=DAY, epoch=held.epoch)
    assert isinstance(decision(ledger, Judge(settings, Windows()), settings, DAY + 1), policy.Hold)
    with ledger.read() as tx:
        assert [v.verdict.detector for v in verdicts.latest(tx, "m")] == ["missing_rise"]


def test_what_a_person_closed_starts_no_training_until_another_subject_alarms(tmp_path: Path, ledger: Ledger) -> None:
    model = {"name": "m", "task": "text-classification", "labels": ["a", "b"], "retrain": {"base_model": "x", "confirm_ticks": 1}}
    settings = Settings.model_validate({"data_dir": tmp_path, "models": [model]})
    judge = Judge(settings, Windows())
    judge._watches["m"] = Watch(model=settings.models[0], version="1", epoch=1, reference=NOTHING, key="k", detectors=[])
    risk, floor = (_alarm(name) for name in ("risk_change", "f1_floor"))
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=DAY, because="a test")
        verdicts.save(tx, "m", [risk], at=DAY, epoch=1)
        judge._incident(tx, judge._watches["m"], [risk], DAY)
        opened = incidents.open_of(tx, "m")
        assert opened is not None
    assert isinstance(decision(ledger, judge, settings, DAY + 1), policy.Retrain)
    with ledger.begin() as tx:
        judgements.judge(tx, opened.id, judgements.Judged.FALSE, by="ada", because="", now=DAY + 2)
        judge._incident(tx, judge._watches["m"], [risk], DAY + 3)
    assert isinstance(decision(ledger, judge, settings, DAY + 4), policy.Hold)
    with ledger.begin() as tx:
        verdicts.save(tx, "m", [floor], at=DAY + 5, epoch=1)
        judge._incident(tx, judge._watches["m"], [risk, floor], DAY + 5)
        again = incidents.open_of(tx, "m")
    assert again is not None
    assert set(again.subjects) == {"risk_change:s", "f1_floor:s"}
    assert isinstance(decision(ledger, judge, settings, DAY + 6), policy.Retrain)


def _alarm(detector: str) -> Verdict:
    evidence = EDetectorValue(log10_e=6.0, alpha=1e-5)
    figures = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    return Verdict(detector=detector, subject="s", outcome=Outcome.ALARM, evidence=evidence, because="It alarms.", **figures)  # type: ignore[arg-type]


def test_the_monitors_of_a_group_share_the_false_alarms_that_a_user_allows() -> None:
    settings = {
        "name": "m",
        "task": "tabular-classification",
        "labels": ["no", "yes"],
        "columns": {"x": "numeric", "channel": "category"},
        "monitors": {"pane_s": 60, "drift": {"mean_days_between_false_alarms": 10}, "performance": None, "quality": None},
    }
    model = Settings.model_validate({"models": [settings]}).models[0]
    alarming = [d for d in monitors(model, has_bound=False) if d.kind is Kind.ALARMS]
    assert {d.subject for d in alarming} == {"input.x", "input.channel", "output.label", "output.score", "columns"}
    assert all(d.evidence is EDetectorValue for d in alarming)
    panes = 10 * DAY / 60
    assert all(1 / d.alpha == pytest.approx(5 * panes) for d in alarming)  # type: ignore[attr-defined]  # each has one


def test_alpha_stays_a_probability_for_absurdly_short_promises() -> None:
    assert alpha_per_pane(days=1e-6, pane_s=60, n=1) == 0.5
