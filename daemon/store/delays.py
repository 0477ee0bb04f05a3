"""How long labels take, as counters of a histogram: they move with the pane that joins them, so a restart neither loses nor repeats any."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from daemon.store.closed import Join

COUNTER = "label_delay"
BOUNDS_S = (1, 10, 60, 600, 3600, 21_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000)
"""Upper ends: a second to the 30 days that a record waits by default."""
_SUM = "sum_ms"
_MORE = "inf"


def delays(joins: Iterable[Join]) -> Counter[tuple[str, str]]:
    """Counts of the joined labels by delay: from the record's own time to the label's arrival."""
    found: Counter[tuple[str, str]] = Counter()
    for join in joins:
        if join.state == "joined":
            delay_s = max(0.0, join.held.received_at - join.at)
            place = bisect_left(BOUNDS_S, delay_s)
            found[COUNTER, str(BOUNDS_S[place]) if place < len(BOUNDS_S) else _MORE] += 1
            found[COUNTER, _SUM] += round(1000 * delay_s)
    return found


def cumulated(counts: Mapping[str, int]) -> tuple[list[tuple[str, float]], float]:
    """What `delays` counted, as Prometheus wants it: ([(upper end, labels up to it)], sum of seconds)."""
    buckets, total = [], 0
    for name in (*map(str, BOUNDS_S), _MORE):
        total += counts.get(name, 0)
        buckets.append(("+Inf" if name == _MORE else name, float(total)))
    return buckets, counts.get(_SUM, 0) / 1000.0
