"""Two classes whose scores say what a model knows, and a window of them with few labels: for tests of estimates."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import judge
from detectors.sketches.score_counts import ScoreCounts
from detectors.types import Pairs, Reference, Window

LABELS = ("no", "yes")


def drawn(rng: np.random.Generator, n: int, share: float = 0.4) -> Pairs:
    """Scores of a model that knows p(x | class), under a share of "yes" of 0.4; the truth comes under `share`."""
    truth = rng.random(n) < share
    x = rng.normal(np.where(truth, 1.0, -1.0), 1.0)
    yes = 1.0 / (1.0 + np.exp(-2.0 * x) * 0.6 / 0.4)
    names = np.array(LABELS, dtype=object)
    return Pairs(predicted=names[(yes > 0.5).astype(int)], label=names[truth.astype(int)], scores=np.column_stack([1.0 - yes, yes]))


def reference(pairs: Pairs) -> Reference:
    """Bound rows alone."""
    return Reference(columns={}, kinds={}, sketches={}, bound=pairs, digest="test")


def window(pairs: Pairs, labelled: Pairs) -> Window:
    """The scores of all, and what is kept of the labelled ones."""
    assert pairs.scores is not None
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sketches = {"output.scores": {"scores": ScoreCounts.of(pairs.scores, pairs.predicted, LABELS)}}
    judged = judge(labelled, LABELS)
    return Window(
        model="m", version="1", start=at, end=at, n_seen=pairs.n, n=pairs.n, sketches=sketches, confusion=Confusion(), judged=judged
    )
