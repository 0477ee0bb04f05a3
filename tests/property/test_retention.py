"""What may go: whatever is stored, needed and allowed, nothing needed goes, and nothing goes without a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.store.retention import Item, Kind, Limits, Needs, Why, removable

NOW = 1_000.0
times = st.floats(min_value=0.0, max_value=NOW)
items = st.lists(
    st.builds(Item, kind=st.sampled_from(Kind), name=st.sampled_from("abcdefgh"), at=times, n_bytes=st.integers(0, 100)),
    max_size=30,
    unique_by=lambda item: (item.kind, item.name),
)
spans = st.lists(st.tuples(times, times | st.just(float("inf"))), max_size=3).map(tuple)
needs = st.builds(Needs, records=spans, sketches=spans, names=st.frozensets(st.sampled_from("abcdefgh")))
limits = st.builds(
    Limits,
    age_s=st.fixed_dictionaries({kind: st.floats(min_value=0.0, max_value=NOW) for kind in Kind}),
    max_bytes=st.none() | st.integers(0, 500),
)


@given(items, needs, limits, st.integers(0, 100), st.integers(1, 40))
def test_nothing_needed_ever_goes_and_nothing_without_its_reason(
    stored: list[Item], needed: Needs, limit: Limits, more_bytes: int, most_n: int
) -> None:
    kept = sum(item.n_bytes for item in stored) + more_bytes
    gone = removable(stored, needed, limit, kept_bytes=kept, now=NOW, most_n=most_n)
    assert len(gone) == len({(item.kind, item.name) for item, _ in gone}) <= most_n
    assert [item.at for item, _ in gone] == sorted(item.at for item, _ in gone)
    for item, why in gone:
        assert item in stored
        assert not needed.hold(item)
        is_old = item.at < NOW - limit.age_s[item.kind]
        assert is_old == (why is Why.AGE)
        if why is Why.BYTES:
            assert limit.max_bytes is not None
            assert item.n_bytes > 0
            older = sum(other.n_bytes for other, _ in gone if other != item and other.at <= item.at)
            assert kept - older > limit.max_bytes, "it was within the limit without this one"


@given(items, needs, limits)
def test_in_the_end_only_what_is_needed_is_too_old_or_above_the_limit(stored: list[Item], needed: Needs, limit: Limits) -> None:
    left = list(stored)
    while gone := removable(left, needed, limit, kept_bytes=sum(item.n_bytes for item in left), now=NOW, most_n=3):
        left = [item for item in left if item not in {item for item, _ in gone}]
    assert all(needed.hold(item) or item.at >= NOW - limit.age_s[item.kind] for item in left)
    free_bytes = sum(item.n_bytes for item in left if not needed.hold(item))
    assert limit.max_bytes is None or free_bytes == 0 or sum(item.n_bytes for item in left) <= limit.max_bytes


@given(items, limits)
def test_each_kind_is_held_by_its_own_need(stored: list[Item], limit: Limits) -> None:
    everything = Needs(records=((-1.0, NOW),), sketches=((-1.0, NOW),), names=frozenset(item.name for item in stored))
    assert removable(stored, everything, limit, kept_bytes=10**9, now=NOW, most_n=100) == []
