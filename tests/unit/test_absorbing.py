"""What may become the reference: by the kinds of its alarms, and by what labels say."""

from __future__ import annotations

import pytest

from daemon.act.message import compose
from daemon.decide.absorbing import why_not

BENIGN = {"harm": "benign", "because": "6 of 174 were wrong"}
UNKNOWN = {"harm": "unknown", "because": "3 more labels are missing"}


@pytest.mark.parametrize(
    ("kinds", "diagnosis", "is_forced", "word"),
    [
        ({"drift"}, BENIGN, False, None),
        ({"drift", "calibration"}, BENIGN, False, None),
        ({"drift"}, UNKNOWN, False, "3 more labels are missing"),
        ({"drift"}, None, False, "no label speaks for it"),
        ({"drift"}, UNKNOWN, True, None),
        ({"drift", "quality"}, BENIGN, False, "data come damaged"),
        ({"quality"}, UNKNOWN, True, None),
        ({"drift", "risk"}, BENIGN, True, "its loss alarms"),
        ({"drift", "performance"}, BENIGN, True, "its performance alarms"),
        ({"drift", "fairness"}, BENIGN, True, "groups are treated differently"),
        ({"drift"}, {"harm": "harmful", "because": "it was wrong"}, True, "it was wrong"),
        ({"calibration"}, UNKNOWN, True, "nothing that it is about is compared with the reference"),
    ],
)
def test_only_what_is_proven_or_forced_is_absorbed_and_never_what_harms(
    kinds: set[str], diagnosis: dict[str, str] | None, is_forced: bool, word: str | None
) -> None:
    found = why_not(kinds, diagnosis, is_forced=is_forced)
    assert found is None if word is None else found is not None and word in found


def test_a_shift_that_is_over_is_absorbed_only_by_who_says_that_it_is_not() -> None:
    assert "would mix the shift with what came after" in str(why_not({"drift"}, BENIGN, is_forced=False, is_over=True))
    assert why_not({"drift"}, BENIGN, is_forced=True, is_over=True) is None


def test_who_is_told_that_a_shift_is_benign_is_told_the_command_that_absorbs_it() -> None:
    told = compose("shop", {"what": "incident.benign", "incident": "inc-1", "because": "6 of 174 were wrong"}, "http://r")
    assert "retuned absorb shop --incident inc-1 --because" in told.body
    assert "http://r/runbooks/RetunedDrift" in told.body


def test_who_is_told_that_a_shift_was_absorbed_is_told_how_to_undo_it() -> None:
    told = compose("shop", {"what": "reference.absorbed", "incident": "inc-1", "because": "absorbed by ada: a new shop"}, "http://r")
    assert told.title == "shop: a shift is the reference now"
    assert "absorbed by ada: a new shop" in told.body
    assert "retuned absorb shop --undo" in told.body
    assert "http://r/incidents/inc-1" in told.body
    back = compose("shop", {"what": "reference.restored", "because": "absorbing undone by ada"}, "http://r")
    assert "--undo" not in back.body
