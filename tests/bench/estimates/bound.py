"""How near anybody could come on one set: oracles who know beforehand what only its late targets tell.

What scores miss in a chunk is chance (how its records fall, given what their scores are worth) and an offset. The oracle of labels knows
how large offsets are, how long they last and in which chunk they begin: the best such settings for this very set are sought in hindsight.
He follows the offset with a Kalman filter from the labels so far and knows the labelled records themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.performance.exact_calibration import calibrate_exactly
from detectors.performance.label_plan import inclusion
from tests.bench.estimates.judge import DRAWS_N, LABELLED, SEED
from tests.bench.estimates.sets import CHUNKS_N, Part, folder, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MORE = 0.2
"""Share of labels beside `LABELLED` for which the bound is told."""
_SPREADS = np.append(0.0, np.geomspace(0.001, 0.4, 25))
_LASTING = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Correlation of a chunk's offset with the one before: 0 = another one each time, 1 = it stays."""
SETTINGS_N = len(_SPREADS) * len(_LASTING) * CHUNKS_N
"""That the oracle of labels may choose among in hindsight."""
_TO_MEAN = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Draws of labels, every array (draws, chunks)."""

    share: Floats
    offset: Floats
    """Mean of "right, less what the score is worth" of the labelled records."""
    variance: Floats
    """Of that mean, by the true spread in the chunk."""


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """What the scores say of each chunk, every array (chunks,)."""

    known: list[tuple[Floats, Floats]]
    """(chance that each answer is right, by the reference; whether it is), (n,) each."""
    estimate: Floats
    truth: Floats
    chance: Floats
    """Variance of the realised figure, were the scores honest."""


def bounds(name: str) -> dict[str, Any]:
    """Errors: "map", "oracle" [with 5 %, 20 % labels], "expected" [of the scores, 5 %, 20 %]; "planned": a ratio of variances."""
    reference, parts = load(name, folder())
    found = _read(reference, parts)
    labels = [_drawn(found, share) for share in (LABELLED, MORE)]
    return {
        "map": float(np.abs(_mapped(parts) - found.truth).mean()),
        "oracle": [in_hindsight(found, each) for each in labels],
        "expected": expected(found, labels),
        "planned": float(np.mean([_planned(part, own) for part, own in zip(parts, found.known, strict=True)])),
    }


def in_hindsight(found: Chunks, labels: Labels) -> float:
    """Least mean error over all draws of any setting of the oracle."""
    settings = product(_SPREADS.tolist(), _LASTING, range(CHUNKS_N))
    return min(float(np.abs(followed(found, labels, *each) - found.truth).mean()) for each in settings)


def followed(found: Chunks, labels: Labels, spread: float, lasting: float, first: int) -> Floats:
    """Estimates, (draws, chunks): before chunk `first` the offset is 0, from then on stationary with this standard deviation."""
    mean, variance = np.zeros(len(labels.share)), np.zeros(len(labels.share))
    told = np.empty_like(labels.offset)
    for t in range(labels.offset.shape[1]):
        if t >= first:
            mean, variance = lasting * mean, _ahead(variance, spread, lasting, is_first=t == first)
        gain = variance / (variance + labels.variance[:, t])
        mean, variance = mean + gain * (labels.offset[:, t] - mean), variance * (1.0 - gain)
        share = labels.share[:, t]
        told[:, t] = found.estimate[t] + share * labels.offset[:, t] + (1.0 - share) * mean
    return told


def expected(found: Chunks, labels: list[Labels]) -> list[float]:
    """[Error of the scores, least error of any rule with each of `labels`] in worlds of normal offsets with this set's mean square.

    The posterior mean is the best rule there, whatever the rule; the least over how long offsets last and when they begin is taken.
    """
    square = max(0.0, float(((found.truth - found.estimate) ** 2 - found.chance).mean()))
    ways = list(product(_LASTING, range(CHUNKS_N)))
    scores = [_expected(found, None, square, *each) for each in ways]
    ratios = [min(_expected(found, own, square, *each) / alone for each, alone in zip(ways, scores, strict=True)) for own in labels]
    return [scores[0], *(scores[0] * ratio for ratio in ratios)]


def _expected(found: Chunks, labels: Labels | None, square: float, lasting: float, first: int) -> float:
    """Mean over the chunks of E|error|."""
    spread = math.sqrt(square * CHUNKS_N / (CHUNKS_N - first))
    variance, errors = 0.0, []
    for t in range(CHUNKS_N):
        variance = _ahead(variance, spread, lasting, is_first=t == first) if t >= first else 0.0
        if labels is None:
            errors.append(math.sqrt(found.chance[t] + (spread**2 if t >= first else 0.0)))
            continue
        share, own = float(labels.share[:, t].mean()), float(labels.variance[:, t].mean())
        variance = variance * own / (variance + own)
        errors.append(math.sqrt((1.0 - share) ** 2 * variance + (1.0 - share) * found.chance[t]))
    return _TO_MEAN * float(np.mean(errors))


def _ahead(variance: Any, spread: float, lasting: float, *, is_first: bool) -> Any:
    """Of the offset, before the chunk's labels."""
    return spread**2 + 0.0 * variance if is_first else lasting**2 * variance + (1.0 - lasting**2) * spread**2


def _read(reference: Part, parts: list[Part]) -> Chunks:
    """By isotonic regression on the exact scores of the reference: NannyML's own figure, all but."""
    worth = calibrate_exactly(reference.scores, reference.truth)
    known = [(worth.read(p.scores, p.answer)[0], (p.answer == p.truth).astype(np.float64)) for p in parts]
    return Chunks(
        known=known,
        estimate=np.array([f.mean() for f, _ in known]),
        truth=np.array([y.mean() for _, y in known]),
        chance=np.array([float(f @ (1.0 - f)) / len(f) ** 2 for f, _ in known]),
    )


def _drawn(found: Chunks, share: float) -> Labels:
    """The draws that `judge` takes."""
    missed = [y - f for f, y in found.known]
    rows = [[np.random.default_rng([SEED, i, draw]).random(len(r)) < share for i, r in enumerate(missed)] for draw in range(DRAWS_N)]
    n = np.array([[own.sum() for own in each] for each in rows])
    return Labels(
        share=n / np.array([len(r) for r in missed]),
        offset=np.array([[r[own].mean() for r, own in zip(missed, each, strict=True)] for each in rows]),
        variance=np.array([r.var() for r in missed]) / n,
    )


def _mapped(parts: list[Part]) -> Floats:
    """Estimates by what scores are worth in the other nine chunks, by their late targets."""
    told = []
    for i, part in enumerate(parts):
        others = [p for j, p in enumerate(parts) if j != i]
        worth = calibrate_exactly(np.concatenate([p.scores for p in others]), np.concatenate([p.truth for p in others]))
        told.append(worth.read(part.scores, part.answer)[0].mean())
    return np.array(told)


def _planned(part: Part, known: tuple[Floats, Floats]) -> float:
    """Variance of what labels of a plan by doubt say of the offset, over that of as many random ones."""
    n = round(LABELLED * len(part.truth))
    s = np.clip(part.scores[np.arange(len(part.answer)), part.answer], 0.0, 1.0)
    squares = (known[1] - known[0]) ** 2
    return float(squares @ (1.0 / inclusion(np.sqrt(s * (1.0 - s)), n) - 1.0) / (squares.sum() * (len(s) / n - 1.0)))
