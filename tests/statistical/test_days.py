"""Every alarm sees the change that `retuned check` names on at least half of the days of it, and half of that change on clearly fewer."""

from __future__ import annotations

import pytest

from detectors.registry import detector_class, names
from detectors.types import Kind
from tests.statistical.days import DAYS_N, FEWER_DAYS_N, WORLDS, halfway

LEARNERS = {"text_witness", "embedding_witness", "domain_classifier"}
"""They take seconds a day."""


def test_every_alarm_has_a_world() -> None:
    assert set(WORLDS) == {name for name in names() if detector_class(name).kind is Kind.ALARMS}


@pytest.mark.parametrize("name", sorted(set(WORLDS) - LEARNERS))
def test_the_change_that_is_named_is_seen_on_most_days(name: str) -> None:
    """P(Binomial(8, .8) < 4) = .01: the days are the same at every run."""
    _check(name, days_n=8)


@pytest.mark.prove
@pytest.mark.parametrize("name", sorted(WORLDS))
def test_the_change_that_is_named_is_seen_on_at_least_half_of_the_days(name: str) -> None:
    _check(name, days_n=FEWER_DAYS_N if name in LEARNERS else DAYS_N)


def _check(name: str, days_n: int) -> None:
    world = WORLDS[name]()
    soon = world.soon()
    assert soon.smallest is not None, soon.says
    named, half = (world.seen(figure, days_n) for figure in (soon.smallest, halfway(world, soon.smallest)))
    assert named >= days_n / 2, f"{name}: {soon.says}: seen on {named} of {days_n} days"
    assert half <= named / 2, f"{name}: half of it was seen on {half} of {days_n} days, all of it on {named}"
