"""The pages' small parts: sessions and attempts are bounded, times are said in words, drawings stay inside their line."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from daemon.show.attempts import FROM_ALL, FROM_ONE, WITHIN_S, Attempts
from daemon.show.pages import draw, words
from daemon.show.pages.render import Pages
from daemon.show.pages.sessions import LASTS_S, MOST, Sessions
from daemon.show.views import EvidenceView, IncidentView


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_by_time_by_number_and_by_signing_out() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first = sessions.open("ada")
    assert sessions.find(first.id) == first
    assert sessions.find(None) is None
    others = [sessions.open(str(i)) for i in range(MOST)]
    assert sessions.find(first.id) is None
    sessions.close(others[0].id)
    assert sessions.find(others[0].id) is None
    clock.now += LASTS_S
    assert sessions.find(others[1].id) is None


def test_a_forms_token_belongs_to_one_session_of_one_process() -> None:
    sessions = Sessions(Clock())
    one, two = sessions.open("ada"), sessions.open("ada")
    tokens = {sessions.form_token(one), sessions.form_token(two), sessions.form_token(None), Sessions(Clock()).form_token(None)}
    assert len(tokens) == 4
    assert sessions.form_token(one) == sessions.form_token(one)


def test_wrong_tokens_are_limited_for_one_address_and_for_all_and_forgotten_after_a_minute() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(FROM_ONE):
        assert attempts.wait_s("a") == 0.0
        attempts.wrong("a")
    assert attempts.wait_s("a") == WITHIN_S
    assert attempts.wait_s("b") == 0.0
    for i in range(FROM_ALL):
        attempts.wrong(f"address {i}")
    assert attempts.wait_s("b") == WITHIN_S
    clock.now += WITHIN_S
    assert attempts.wait_s("a") == attempts.wait_s("b") == 0.0
    for i in range(5000):
        attempts.wrong(f"many {i}")
    assert len(attempts._by_address) <= 1024


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (3600 * 5, "5 h ago"), (86400 * 9, "9 d ago"), (-7200, "in 2 h")],
)
def test_a_time_is_said_with_its_age(seconds: float, said: str) -> None:
    assert words.age(1e9, 1e9 + seconds) == said


def test_an_incident_says_whether_it_hurts_and_who_knows() -> None:
    held = {"id": "i", "epoch": 1, "opened_at": 0.0, "closed_at": None, "last_alarm_at": 0.0, "report": None}
    drift = IncidentView(**held, subjects={"a": {"kind": "drift"}}, is_harmful=False)  # type: ignore[arg-type]  # by name
    harmful = IncidentView(**held, subjects={"a": {"kind": "drift"}, "b": {"kind": "risk"}}, is_harmful=True, acknowledged_by="ada")  # type: ignore[arg-type]
    assert words.of_incident(drift, 1.0).tone is words.Tone.WARN
    assert words.harm(drift).startswith("Not known to be harmful")
    said = words.of_incident(harmful, 1.0)
    assert (said.tone, said.word) == (words.Tone.BAD, "harmful incident, acknowledged")
    assert "wrong more often" in said.because


def test_what_is_not_known_to_do_harm_and_treats_groups_differently_is_not_called_harmless() -> None:
    said = {"harm": "unknown", "shift": "unknown", "because": "3 labels are missing"}
    held = {"id": "i", "epoch": 1, "opened_at": 0.0, "closed_at": None, "last_alarm_at": 0.0, "report": None, "is_harmful": False}
    unfair = IncidentView(**held, subjects={"a": {"kind": "fairness"}}, diagnosis=said)  # type: ignore[arg-type]  # by name
    assert words.harm(unfair) == "Groups are treated differently. Not known to be worse for all: 3 labels are missing."
    drift = IncidentView(**held, subjects={"a": {"kind": "drift"}}, diagnosis=said)  # type: ignore[arg-type]
    assert words.harm(drift) == "Not known to be harmful: 3 labels are missing."


def test_the_timeline_says_what_an_incident_came_to_mean() -> None:
    said = {"harm": "harmful", "shift": "concept", "because": "the loss alarms"}
    assert words.event_because("incident.diagnosed", said) == "Harmful, a shift of what is right: the loss alarms"
    assert words.event_because("incident.diagnosed", {"because": "of an older release"}) == "of an older release"


@pytest.mark.parametrize(
    ("evidence", "share"),
    [
        (EvidenceView(kind="e_value", log10_e=1.0, limit=2.0), 0.5),
        (EvidenceView(kind="e_value", log10_e=-1e6, limit=2.0), 0.0),
        (EvidenceView(kind="e_detector_value", log10_e=1e6, limit=5.0), 2e5),
        (EvidenceView(kind="p_value", p=0.1, limit=0.01), 0.5),
        (EvidenceView(kind="p_value", p=0.0, limit=0.01), 150.0),
        (EvidenceView(kind="score", distance=0.3, limit=0.2), 1.5),
        (EvidenceView(kind="score", distance=0.3, limit=0.0), 0.0),
    ],
)
def test_evidence_is_drawn_beside_its_limit_and_inside_its_bar(evidence: EvidenceView, share: float) -> None:
    assert draw.evidence_share(evidence) == pytest.approx(share)
    bar = draw.bar(evidence)
    assert 0.0 <= bar.width <= draw.WIDTH
    assert bar.is_over == (share >= 1.0)


@pytest.mark.parametrize(("low", "value", "high"), [(0.0, 0.0, 0.0), (0.0, 0.5, 1.0), (1.0, 1.0, 1.0), (-0.3, 0.1, 0.2), (5.0, 7.0, 900.0)])
def test_an_interval_stays_inside_its_line(low: float, value: float, high: float) -> None:
    drawn = draw.interval(low, value, high)
    assert 0.0 <= drawn.x <= drawn.x + drawn.width <= draw.WIDTH + 1.0
    assert 0.0 <= drawn.tick <= draw.WIDTH - 3.0


def test_what_a_sender_wrote_turns_no_words_of_a_page_and_is_never_markup() -> None:
    template = Pages("1")._jinja.from_string("version {{ version }} is champion{{ drawn }}")
    shown = template.render(version="2\u202e\u2066<b>\u05d0", drawn=Markup("<svg>\u2069</svg>"))
    assert shown == "version 2&lt;b&gt;\u05d0 is champion<svg></svg>"
