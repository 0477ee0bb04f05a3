"""What may become the reference: by the kinds of its alarms, and by what labels say."""

from __future__ import annotations

import pytest

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
