"""Repeated contents are counted as they read: one record after the other, and in any split into panes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.quality.repeats import MEMORY_N, REST_N, repeats

CONTENTS = st.integers(2, 400).flatmap(lambda many: st.lists(st.integers(0, many), max_size=400))


def _one_by_one(contents: list[int]) -> tuple[int, int, list[int]]:
    k, n, memory = 0, 0, list[int]()
    for content in contents:
        is_trial = len(memory) >= REST_N
        is_hit = is_trial and content in memory
        k, n, memory = k + is_hit, n + is_trial, [] if is_hit else [*memory, content][-MEMORY_N:]
    return k, n, memory


@given(contents=CONTENTS, cuts=st.lists(st.integers(0, 400), max_size=6))
def test_they_are_counted_as_they_read_in_any_panes(contents: list[int], cuts: list[int]) -> None:
    k, n, memory = 0, 0, np.empty(0, dtype=np.int64)
    for pane in np.split(np.array(contents, dtype=np.int64), sorted(min(cut, len(contents)) for cut in cuts)):
        found = repeats(pane, memory)
        k, n, memory = k + found.k, n + found.n, found.memory
    assert (k, n, memory.tolist()) == _one_by_one(contents)
