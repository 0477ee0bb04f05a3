"""An incident's messages say what is known of it by then, each once: opened, harmful when that was not said before, closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from daemon.act.message import compose
from daemon.decide.incident import BY_HARM, AlarmKind
from daemon.judge import Judge
from daemon.settings import Settings
from daemon.store import champions, outbox
from daemon.store.closed import ClosedPane
from daemon.store.ledger import Ledger
from daemon.store.panes import Windows
from daemon.watch import Watch
from detectors.types import EDetectorValue, Increment, Outcome, Pairs, Reference, Verdict

_DAY = 86_400.0
_NOTHING = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="")


@dataclass
class Scripted(Watch):
    """A watch whose detectors alarm as written."""

    alarming: tuple[str, ...] = field(default=())
    known: set[str] = field(default_factory=set)

    def fold(self, tx: Connection, increment: Increment) -> list[Verdict]:  # noqa: ARG002
        evidence = EDetectorValue(log10_e=6.0, alpha=1e-5)
        said = {"subject": "input.x", "evidence": evidence, "value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
        self.known |= {*self.alarming}
        outcomes = {name: Outcome.ALARM if name in self.alarming else Outcome.OK for name in sorted(self.known)}
        return [Verdict(detector=name, because=f"{name} alarms.", outcome=o, **said) for name, o in outcomes.items()]  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    opened.migrate()
    yield opened
    opened.close()


def told(ledger: Ledger, folder: Path, panes: list[tuple[str, ...]]) -> list[dict[str, Any]]:
    """The messages after panes in which these detectors alarm."""
    model = {"name": "m", "task": "text-classification", "labels": ["a", "b"], "monitors": {"quiet_s": 120.0}}
    settings = Settings.model_validate({"data_dir": folder, "models": [model]})
    judge = Judge(settings, Windows())
    watch = Scripted(model=settings.models[0], version="1", epoch=1, reference=_NOTHING, key="k", detectors=[])
    judge._watches["m"] = watch
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=_DAY, because="a test")
        for i, alarming in enumerate(panes):
            start = datetime.fromtimestamp(_DAY, UTC) + timedelta(minutes=i)
            watch.alarming = alarming
            increment = Increment(start=start, end=start + timedelta(minutes=1), columns={}, pairs=Pairs.empty(), n=1)
            at = start.timestamp()
            pane = ClosedPane(model="m", start=at, end=at + 60.0, parts=(), joins=(), increment=increment, indices=(), unsampled=())
            judge.fold(tx, pane, at + 60.0)
        return [dict(message.payload) for message in outbox.pending(tx, kind="notify")]


def test_an_opened_incident_carries_what_is_known_and_is_told_once_more_when_it_does_harm(ledger: Ledger, tmp_path: Path) -> None:
    drift, floor = ("conformal_numeric",), ("conformal_numeric", "f1_floor")
    opened, harmful = told(ledger, tmp_path, [(), drift, drift, floor, floor, floor])
    assert (opened["what"], harmful["what"]) == ("incident.opened", "incident.harmful")
    assert opened["diagnosis"]["harm"] == "unknown"
    assert harmful["diagnosis"]["harm"] == "harmful"
    assert harmful["because"] == "f1_floor alarms."
    first, second = (compose("m", payload, "http://r") for payload in (opened, harmful))
    assert (first.title, first.tone) == ("m: incident: traffic changed", "warning")
    assert first.body.splitlines()[:2] == [
        "Open since 1970-01-02 00:02 UTC.",
        "input.x (conformal_numeric): conformal_numeric alarms. (between 0.4 and 0.6)",
    ]
    assert f"Whether it does harm is not known yet: {opened['diagnosis']['because']}" in first.body
    assert first.body.endswith("Do: http://r/runbooks/RetunedDrift")
    assert (second.title, second.tone) == ("m: the incident does harm: performance beyond its limit, traffic changed", "failure")
    lines = second.body.splitlines()
    assert lines[0] == "Open since 1970-01-02 00:02 UTC."
    assert [line.partition(": ")[0] for line in lines[1:3]] == [
        "input.x (f1_floor)",
        "input.x (conformal_numeric)",
    ]  # the most harmful first
    assert lines[3].startswith("It does harm")
    assert second.body.endswith("Do: http://r/runbooks/RetunedPerformanceDegradedFast")


def test_what_was_told_as_harmful_at_its_opening_is_not_told_again_when_drift_joins(ledger: Ledger, tmp_path: Path) -> None:
    (opened,) = told(ledger, tmp_path, [("risk_change",), ("risk_change", "conformal_numeric"), ("risk_change", "conformal_numeric")])
    assert opened["diagnosis"]["harm"] == "harmful"
    text = compose("m", opened, "http://r")
    assert (text.title, text.tone) == ("m: incident, harmful: worse than it was made to be", "failure")
    assert text.body.endswith("Do: http://r/runbooks/RetunedPerformanceDegradedFast")


def test_drift_that_meets_risk_is_told_once_and_then_closed(ledger: Ledger, tmp_path: Path) -> None:
    both = ("conformal_numeric", "risk_change")
    messages = told(ledger, tmp_path, [("conformal_numeric",), both, both, (), (), (), (), ()])
    assert [m["what"] for m in messages] == ["incident.opened", "incident.harmful", "incident.closed"]
    assert [m["harmful"] for m in messages] == [False, True, True]
    assert "diagnosis" not in messages[2]
    what = "risk (input.x); drift (input.x)"
    assert messages[2]["because"] == f"Over: quiet since 1970-01-02 00:03 UTC. It lasted 2 min, from 1970-01-02 00:01 UTC: {what}."
    assert compose("m", messages[1], "http://r").body.endswith("Do: http://r/runbooks/RetunedHarmfulDrift")


def test_fairness_that_joins_an_incident_is_told_once_for_it_wakes_people_with_prometheus_too(ledger: Ledger, tmp_path: Path) -> None:
    drift, both = ("conformal_numeric",), ("conformal_numeric", "fairness_gap")
    _, unfair = told(ledger, tmp_path, [drift, drift, both, both, drift, both])
    text = compose("m", unfair, "http://r")
    assert (text.title, text.tone) == ("m: the incident is about fairness, too: groups treated differently, traffic changed", "failure")
    assert text.body.splitlines()[1] == "input.x (fairness_gap): fairness_gap alarms. (between 0.4 and 0.6)"
    assert "It treats groups differently; whether it is worse for all is not known yet: " in text.body
    assert text.body.endswith("Do: http://r/runbooks/RetunedFairnessBreach")


def test_fairness_at_the_opening_or_with_harm_is_not_told_twice(ledger: Ledger, tmp_path: Path) -> None:
    (opened,) = told(ledger, tmp_path, [("fairness_gap",), ("fairness_gap", "conformal_numeric")])
    assert compose("m", opened, "http://r").title == "m: incident: groups treated differently"


def test_fairness_that_comes_with_harm_is_one_message(ledger: Ledger, tmp_path: Path) -> None:
    all_three = ("conformal_numeric", "fairness_gap", "f1_floor")
    messages = told(ledger, tmp_path, [("conformal_numeric",), all_three, all_three])
    assert [m["what"] for m in messages] == ["incident.opened", "incident.harmful"]


def test_every_kind_of_alarm_has_its_place_and_its_words() -> None:
    assert set(BY_HARM) == set(AlarmKind)
    for kind in AlarmKind:
        body = compose("m", {"what": "incident.opened", "incident": "i", "kinds": [kind.value], "because": "x"}, "http://r")
        assert "m: incident: " in body.title
        assert "/runbooks/Retuned" in body.body


@pytest.mark.parametrize(
    ("because", "line"),
    [
        ("the last 9 values are 0.2 away", "input.x (d): the last 9 values are 0.2 away (between 0.1 and 0.3)"),
        ("input.x: 15 % are missing, between 6 % and 28 %", "input.x (d): 15 % are missing, between 6 % and 28 %"),
        ("", "input.x is 0.2, between 0.1 and 0.3, on 9 (d)"),
    ],
)
def test_an_alarm_is_one_sentence_that_names_its_subject_and_its_interval(because: str, line: str) -> None:
    figure = {"detector": "d", "subject": "input.x", "value": 0.2, "low": 0.1, "high": 0.3, "n": 9, "because": because}
    payload = {"what": "incident.opened", "incident": "i", "opened_at": 0.0, "because": because, "figures": [figure]}
    assert compose("m", payload, "http://r").body.splitlines()[1] == line


def test_an_incident_of_one_alarm_says_so_when_it_is_over(ledger: Ledger, tmp_path: Path) -> None:
    _, closed = told(ledger, tmp_path, [("missing_rise",), (), (), ()])
    assert closed["because"].endswith("It was one alarm, at 1970-01-02 00:01 UTC: quality (input.x).")


def test_damaged_data_alone_are_one_message(ledger: Ledger, tmp_path: Path) -> None:
    (opened,) = told(ledger, tmp_path, [("missing_rise",), ("missing_rise",)])
    assert opened["diagnosis"]["harm"] == "unknown"
    assert compose("m", opened, "http://r").body.endswith("Do: http://r/runbooks/RetunedDataQuality")


@pytest.mark.parametrize(("shift", "words"), [("covariate", " (covariate shift)"), ("damage", " (damage)"), ("unknown", "")])
def test_a_message_says_which_kind_of_shift_it_is(shift: str, words: str) -> None:
    payload = {
        "what": "incident.opened",
        "because": "x",
        "diagnosis": {"harm": "unknown", "shift": shift, "because": "two labels are missing"},
    }
    assert f"Whether it does harm is not known yet{words}: two labels are missing" in compose("m", payload, "http://r").body.splitlines()


HOSTILE = "<!here> @channel <b>hi</b> [pay](https://evil.example) \u202eevil\x00\n# big " + "👩\u200d🔬" + "x" * 10_000_000


def test_words_of_senders_are_shown_in_a_message_and_mean_nothing_there() -> None:
    figure = {"detector": "d", "subject": f"score[shop={HOSTILE}]", "value": 1.0, "low": 0.0, "high": 2.0, "n": 3}
    said = {"harm": "unknown", "shift": "unknown", "because": HOSTILE}
    payload = {
        "what": "incident.opened",
        "incident": "i",
        "because": HOSTILE,
        "figures": [figure] * 9,
        "diagnosis": said,
        "evidence": [HOSTILE],
    }
    body = compose("m", payload, "http://r").body
    assert len(body) < 10_000
    for meant in ("<!", "<b", "</b", "@channel", "](", "\u202e", "\x00", "\n# big"):
        assert meant not in body
    assert body.startswith("\u2039!here> \uff20channel \u2039b>hi\u2039/b> [pay] (https://evil.example) evil # big 👩\u200d🔬xxx")
    assert "\n\nLook: http://r/incidents/i" in body
    kept = "ada@example.org: p < 0.01, a <= b, [x] is 2"
    assert compose("m", {"what": "advice", "because": kept}, "http://r").body.startswith(kept)
