"""Times to seconds: what `timestamp()` says, to the last bit, whatever they are like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.seconds import seconds_of

_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=11))])
_ANY = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=_ZONES)  # noqa: DTZ001 (the strategy gives the zone)
_USUAL = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=_ZONES)  # noqa: DTZ001


@given(st.lists(_ANY | _USUAL, max_size=40) | st.lists(_USUAL, max_size=40))
def test_they_are_what_timestamp_says(ats: list[datetime]) -> None:
    assert seconds_of(ats) == [at.timestamp() for at in ats]


@given(st.lists(_USUAL.map(lambda at: at.replace(microsecond=0)), max_size=40))
def test_also_of_whole_seconds(ats: list[datetime]) -> None:
    assert seconds_of(ats) == [at.timestamp() for at in ats]


@pytest.mark.parametrize("n", [15, 16, 17, 65_535, 65_536])
def test_also_of_as_many_as_a_request_holds(n: int) -> None:
    ats = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(microseconds=1 + 7 * i) for i in range(n)]
    assert seconds_of(ats) == [at.timestamp() for at in ats]


def test_sizes_that_add_up_by_chance_are_told_apart() -> None:
    whole, old = datetime(2026, 1, 1, tzinfo=UTC), datetime(1903, 1, 1, tzinfo=UTC)
    ats = [whole] * 5 + [old] * 4  # 5 of 6 bytes and 4 of 15 are as long as 9 of 10
    assert seconds_of(ats) == [at.timestamp() for at in ats]
