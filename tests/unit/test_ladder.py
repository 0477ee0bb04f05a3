"""Ranks of a figure among those of the same inputs."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.sequential.ladder import expected_rank, ladder_of


def _chi_square(u: np.ndarray) -> float:
    counts = np.bincount((u * 20).astype(int).clip(0, 19), minlength=20)
    return float(((counts - len(u) / 20) ** 2 / (len(u) / 20)).sum())


@pytest.mark.parametrize("levels", [None, 1, 4], ids=["numbers", "good or bad", "grades"])
def test_ranks_are_uniform_and_stay_so_when_inputs_move(levels: int | None) -> None:
    """Mean and spread depend on the input; a rank among all rows would follow it, one among those of the same inputs does not."""
    rng = np.random.default_rng(0)

    def drawn(n: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(mean, 1.0, n)
        rows = np.column_stack([x, (x * x - 1.0) / np.sqrt(2.0)])
        if levels is not None:
            return rows, rng.binomial(levels, 1.0 / (1.0 + np.exp(-x - 1.0))) / levels
        return rows, x + np.exp(0.2 * x) * rng.normal(size=n)

    ladder = ladder_of(*drawn(4000, 0.0))
    for mean, most in ((0.0, 70.0), (0.7, 110.0)):
        rows, figures = drawn(2000, mean)
        ranks = expected_rank(ladder, rows, figures, rng.random(2000))
        assert ((ranks > 0.0) & (ranks < 1.0)).all()
        assert _chi_square(ranks) < most  # of 19 degrees, and what 4,000 rows and seven regressions leave
    among_all = np.searchsorted(ladder.known, figures + 1e-9 * rng.random(2000)) / len(ladder.known)
    assert _chi_square(among_all) > 300.0


def test_one_figure_alone_gives_no_cut_and_ranks_at_random() -> None:
    ladder = ladder_of(np.ones((30, 1)), np.full(30, 0.5))
    assert len(ladder.cuts) == 0
    uniforms = np.array([0.25, 0.75])
    np.testing.assert_allclose(expected_rank(ladder, np.ones((2, 1)), np.array([0.5, 0.5]), uniforms), uniforms)
