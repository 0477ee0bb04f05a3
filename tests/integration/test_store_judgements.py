"""What a person says of an incident, on a real ledger: who is on it, until when it is quiet, what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.show.timeline import timeline
from daemon.store import counters, incidents, judgements
from daemon.store.judgements import Judged
from daemon.store.ledger import Ledger, events, note
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

ADA = {"by": "ada", "because": "I looked"}


@pytest.fixture
def tx(new_database: Callable[[], str]) -> Iterator[Connection]:
    ledger = Ledger(new_database())
    ledger.migrate()
    with ledger.begin() as open_tx:
        _opened(open_tx, "i")
        yield open_tx
    ledger.close()


def _opened(tx: Connection, incident_id: str, *, at: float = 1.0) -> None:
    subjects = {"ks:x": {"kind": "drift", "last_at": at}}
    incidents.open_incident(tx, incident_id=incident_id, model="m", epoch=1, now=at, subjects=subjects, harmful=False)


def _kept(tx: Connection, incident_id: str = "i") -> incidents.StoredIncident:
    found = incidents.incident(tx, incident_id)
    assert found is not None
    return found


def test_each_word_is_kept_with_its_person_and_is_an_event(tx: Connection) -> None:
    judgements.acknowledge(tx, "i", now=2.0, **ADA)
    judgements.mute(tx, "i", until=100.0, now=3.0, **ADA)
    judgements.judge(tx, "i", Judged.FALSE, now=4.0, **ADA)
    kept = _kept(tx)
    assert (kept.acknowledged_by, kept.acknowledged_at, kept.muted_by, kept.muted_until) == ("ada", 2.0, "ada", 100.0)
    assert (kept.judged, kept.judged_by, kept.judged_at, kept.note, kept.closed_at) == ("false", "ada", 4.0, "I looked", 4.0)
    said = [e for e in reversed(events(tx, "m")) if e["kind"].startswith("incident.")]
    kinds = ["incident.opened", "incident.acknowledged", "incident.muted", "incident.judged", "incident.closed"]
    assert [e["kind"] for e in said] == kinds
    assert all(e["data"]["by"] == "ada" for e in said[1:4])
    assert counters.counters(tx, "m")["judged", "false"] == 1


def test_a_timeline_holds_what_names_the_incident_and_what_else_happened_while_it_was_open(tx: Connection) -> None:
    note(tx, 0.5, "m", "alarm", detector="before")
    note(tx, 2.0, "m", "alarm", detector="ks")
    note(tx, 2.0, "m", "decision", decision="hold")
    note(tx, 2.5, "m", "incident.diagnosed", incident="i")
    note(tx, 2.5, "m", "incident.evidence", incident="another")
    note(tx, 2.5, "m", "incident.evidence", incident="i")
    note(tx, 2.0, "other", "alarm", detector="ks")
    judgements.judge(tx, "i", Judged.REAL, now=3.0, **ADA)
    note(tx, 4.0, "m", "alarm", detector="after")
    judgements.judge(tx, "i", Judged.FALSE, replaces=Judged.REAL, now=5.0, **ADA)
    assert [e.kind for e in timeline(tx, _kept(tx))] == [
        "incident.opened",
        "alarm",
        "incident.diagnosed",
        "incident.evidence",
        "incident.judged",
        "incident.closed",
        "incident.judged",
    ]


def test_a_timeline_shows_how_it_ended_however_many_alarms_and_decisions_came_before(tx: Connection) -> None:
    for number in range(600):
        note(tx, 1.0, "m", "alarm", detector="conformal_numeric", subject=f"input.x{number}")
        note(tx, 2.0, "m", "decision", decision="hold", because=f"cool-down; loss {number}")
    note(tx, 2.5, "m", "decision", decision="retrain")
    note(tx, 2.5, "m", "champion.moved", version="2")
    judgements.judge(tx, "i", Judged.REAL, now=3.0, **ADA)
    shown = [e.kind for e in timeline(tx, _kept(tx))]
    assert shown == ["incident.opened", *["alarm"] * 500, "decision", "champion.moved", "incident.judged", "incident.closed"]


def test_what_comes_twice_or_too_late_is_a_conflict(tx: Connection) -> None:
    judgements.acknowledge(tx, "i", now=2.0, **ADA)
    with pytest.raises(Permanent, match="acknowledged already, by ada"):
        judgements.acknowledge(tx, "i", now=2.0, by="bob", because="")
    judgements.judge(tx, "i", Judged.REAL, now=4.0, **ADA)
    for late in (
        lambda: judgements.acknowledge(tx, "i", now=5.0, **ADA),
        lambda: judgements.mute(tx, "i", until=9.0, now=5.0, **ADA),
        lambda: judgements.judge(tx, "i", Judged.FALSE, now=5.0, by="bob", because=""),
        lambda: judgements.judge(tx, "i", Judged.REAL, replaces=Judged.REAL, now=5.0, **ADA),
    ):
        with pytest.raises(Permanent) as refused:
            late()
        assert refused.value.reason is Reason.CONFLICT
    assert _kept(tx).judged == "real"


def test_nobody_without_a_name_says_anything_and_nothing_is_said_of_what_is_not_there(tx: Connection) -> None:
    with pytest.raises(Permanent, match="name is needed"):
        judgements.judge(tx, "i", Judged.REAL, by=" ", because="", now=2.0)
    with pytest.raises(Permanent, match="no incident j"):
        judgements.acknowledge(tx, "j", now=2.0, **ADA)


@pytest.mark.parametrize("until", [2.0, 1.0, 2.0 + judgements.MUTE_MOST_S + 1.0])
def test_an_incident_is_muted_until_a_time_ahead_that_is_no_switch_off(tx: Connection, until: float) -> None:
    with pytest.raises(Permanent, match="at most 30 days"):
        judgements.mute(tx, "i", until=until, now=2.0, **ADA)


def test_a_judgement_is_corrected_by_naming_the_one_it_replaces(tx: Connection) -> None:
    judgements.judge(tx, "i", Judged.REAL, now=2.0, **ADA)
    judgements.judge(tx, "i", Judged.FALSE, replaces=Judged.REAL, by="bob", because="it was the clock", now=3.0)
    kept = _kept(tx)
    assert (kept.judged, kept.judged_by, kept.closed_at) == ("false", "bob", 2.0)
    assert judgements.tally(tx, "m") == {"real": 0, "false": 1, "expected": 0}
    assert {k: n for k, n in counters.counters(tx, "m").items() if k[0] == "judged"} == {("judged", "real"): 1, ("judged", "false"): 1}


def test_one_that_closed_by_itself_is_judged_afterwards_and_holds_nothing(tx: Connection) -> None:
    incidents.close(tx, "i", now=5.0, because="quiet")
    judgements.judge(tx, "i", Judged.EXPECTED, now=9.0, **ADA)
    assert (_kept(tx).closed_at, _kept(tx).judged) == (5.0, "expected")
    assert incidents.held_subjects(tx, "m", 1) == {}


def test_what_a_person_closed_is_held_until_it_is_quiet_or_another_incident_takes_it_in(tx: Connection) -> None:
    judgements.judge(tx, "i", Judged.FALSE, now=4.0, **ADA)
    assert incidents.held_subjects(tx, "m", 1) == {"ks:x": 1.0}
    assert incidents.held_subjects(tx, "m", 2) == {}
    incidents.hold(tx, "m", 1, {"ks:x": 6.0}, now=6.0)
    assert incidents.held_subjects(tx, "m", 1) == {"ks:x": 6.0}
    _opened(tx, "j", at=7.0)
    assert incidents.held_subjects(tx, "m", 1) == {}
    judgements.judge(tx, "j", Judged.FALSE, now=8.0, **ADA)
    incidents.hold(tx, "m", 1, {}, now=99.0)
    assert incidents.held_subjects(tx, "m", 1) == {}
    assert events(tx, "m")[0]["kind"] == "incident.quiet"


def test_a_rollback_opens_a_real_incident_again_to_be_heard_anew_and_no_other(tx: Connection) -> None:
    judgements.acknowledge(tx, "i", now=2.0, **ADA)
    judgements.judge(tx, "i", Judged.REAL, now=3.0, **ADA)
    incidents.reopen(tx, "i", now=4.0, because="rolled back")
    kept = _kept(tx)
    assert (kept.closed_at, kept.judged, kept.acknowledged_by, kept.held) == (None, "real", None, None)
    judgements.judge(tx, "i", Judged.FALSE, replaces=Judged.REAL, now=5.0, **ADA)
    incidents.reopen(tx, "i", now=6.0, because="rolled back")
    assert _kept(tx).closed_at == 5.0
