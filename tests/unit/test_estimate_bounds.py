"""The oracles of the page of estimates: what they promise, in made worlds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.bench.estimates.bound import Chunks, Labels, expected, followed, in_hindsight

_CHUNKS_N, _SCORES_SD, _LABELS_SD, _OFFSET_SD = 10, 0.003, 0.004, 0.004


def _worlds(n: int, seed: int) -> list[tuple[Chunks, Labels]]:
    """Scores that are off by an offset that stays, and by chance; one draw of few labels each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        offset = np.full(_CHUNKS_N, rng.normal(0.0, _OFFSET_SD))
        truth = 0.9 + offset + rng.normal(0.0, _SCORES_SD, _CHUNKS_N)
        chunks = Chunks(known=[], estimate=np.full(_CHUNKS_N, 0.9), truth=truth, chance=np.full(_CHUNKS_N, _SCORES_SD**2))
        seen = (offset + rng.normal(0.0, _LABELS_SD, _CHUNKS_N))[None, :]
        made.append((chunks, Labels(share=np.zeros((1, _CHUNKS_N)), offset=seen, variance=np.full((1, _CHUNKS_N), _LABELS_SD**2))))
    return made


def test_the_oracle_reaches_what_is_said_to_be_the_least_and_no_other_setting_does() -> None:
    """The settings that are true of the worlds give the expected error; others more."""
    worlds = _worlds(1500, 3)
    chunks, labels = worlds[0]
    usual = np.full(_CHUNKS_N, math.hypot(_OFFSET_SD, _SCORES_SD))  # as far off as such worlds are in the mean square
    scores, least = expected(replace(chunks, truth=chunks.estimate + usual), [labels])
    errors = {
        setting: np.mean([np.abs(followed(chunks, labels, *setting) - chunks.truth).mean() for chunks, labels in worlds])
        for setting in ((_OFFSET_SD, 1.0, 0), (0.0, 1.0, 0), (0.4, 1.0, 0), (_OFFSET_SD, 0.0, 0), (_OFFSET_SD, 1.0, 5))
    }
    true = errors.pop((_OFFSET_SD, 1.0, 0))
    assert true == pytest.approx(least, rel=0.06)
    assert errors[0.0, 1.0, 0] == pytest.approx(scores, rel=0.06)
    assert all(true < other for other in errors.values())


def test_hindsight_is_never_worse_than_the_settings_that_are_true() -> None:
    """Chosen by the very errors, the oracle is on the safe side of a bound: below the best rule, in every world."""
    for chunks, labels in _worlds(3, 4):
        assert in_hindsight(chunks, labels) <= np.abs(followed(chunks, labels, _SCORES_SD, 1.0, 0) - chunks.truth).mean() * 1.02


def test_who_knows_the_labelled_records_need_not_guess_them() -> None:
    """With every record labelled nothing is left to err about."""
    chunks, _ = _worlds(1, 5)[0]
    labels = Labels(share=np.ones((1, _CHUNKS_N)), offset=(chunks.truth - chunks.estimate)[None, :], variance=np.full((1, _CHUNKS_N), 1e-9))
    assert in_hindsight(chunks, labels) == pytest.approx(0.0, abs=1e-12)
