"""What is seen of answers by scores: right ones turn wrong, or losses grow, and what a bet makes of it depends on the answer's score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.watched.seen.day import Soon, nothing, seen
from daemon.watched.seen.labels import NO_ROOM, ROWS_N, UNKNOWN, of_limit
from detectors.losses import confidence
from detectors.performance.scored import with_scores
from detectors.sequential import ppi_score_floor
from detectors.sequential.bets import STAKES
from detectors.sequential.growth import Stake, smallest_growth
from detectors.sequential.growth_of_answers import Bets, smallest_turn
from detectors.sequential.ppi_floor import payoffs
from detectors.sequential.ppi_score_floor import payoffs as payoffs_of_judge
from detectors.sequential.prediction_groups import MOST_SIZE, Groups
from detectors.sequential.share import NO_LIMIT
from detectors.sketches.score_bins import bin_of
from detectors.thinning import drawn_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from daemon.watched.seen.day import Day
    from detectors.sequential.calibration_change import CalibrationChange, CalibrationState
    from detectors.sequential.ppi_floor import PpiFloor, PpiFloorState
    from detectors.sequential.ppi_score_floor import PpiScoreFloor, PpiScoreFloorState
    from detectors.types import Reference

    Floats = NDArray[np.float64]


def of_calibration(d: CalibrationChange, state: CalibrationState, reference: Reference, day: Day) -> Soon:
    """The model becomes too sure of itself."""
    if not len(state.edges):
        return nothing(d, "fewer than 100 labelled bound rows have scores")
    if day.labels_n is None:
        return nothing(d, UNKNOWN)
    p, wrong = _scored(d, reference)
    bins_n, needed = len(state.edges) - 1, math.log(len(state.log_m) / d.alpha)
    at, least, bets = np.clip(np.searchsorted(state.edges, p, side="right") - 1, 0, bins_n - 1), np.append(state.edges[:-1], 0.0), []
    for b in range(bins_n + 1):
        rows, stakes = (at == b) | (b == bins_n), STAKES / (1.0 - least[b] - state.low[b])  # the last one: all
        of_wrong, of_right = (np.log1p(np.outer(state.low[b] - (right - p[rows]), stakes)) for right in (0.0, 1.0))
        bets.append(Bets(float(rows.mean()), of_wrong, of_right, wrong[rows], needed))
    now, n = 100.0 * (1.0 - float(wrong.mean())), day.even_n(d.most_weight)

    def says(turned: float) -> str:
        return f"of 100 answers of the same confidence {now * (1.0 - turned):.0f} are right, no longer {now:.0f}"

    return seen(d, lambda times: smallest_turn(bets, times * n), says, n=day.labels_n, unit="labels", never=NO_ROOM)


def of_predicted(d: PpiFloor, state: PpiFloorState, reference: Reference, day: Day) -> Soon:
    """Accuracy, by labels alone and by what is left of them when what scores predict is taken off."""
    if day.labels_n is None or state.share.limit == NO_LIMIT or with_scores(reference.bound, d.labels) is None:
        return of_limit(d, state.share, reference, day)
    p, wrong = _scored(d, reference)
    f, limit, shares = state.chance[bin_of(p)], state.share.limit, np.asarray(d.shares)
    state = replace(state, groups=_groups(f, day.records_n / day.labels_n))
    alone = [np.tile(np.log1p(STAKES * (y - limit) / limit), (len(p), 1)) for y in (1.0, 0.0)]
    left = [payoffs(state, np.full(len(p), y), f, np.arange(len(p), dtype=np.float64))[1] for y in (1.0, 0.0)]
    predicted = [np.log1p(np.outer((g - limit) / (limit + state.reach), STAKES)) for g in left]
    both = ((alone, shares[0]), (predicted, shares[-1]))
    bets = [Bets(1.0, of_wrong, of_right, wrong, -math.log(d.alpha * share)) for (of_wrong, of_right), share in both]
    right, n = 1.0 - float(wrong.mean()), day.even_n(d.most_weight)

    def smallest(times: float) -> float:
        turned = smallest_turn(bets, times * n)
        return turned if math.isinf(turned) else right * (1.0 - turned)

    floor = f"{1.0 - limit:.3g}"
    return seen(d, smallest, lambda now: f"it falls to {now:.3g} (floor {floor})", n=day.labels_n, unit="labels", never=NO_ROOM)


def of_judged(d: PpiScoreFloor, state: PpiScoreFloorState, reference: Reference, day: Day) -> Soon:
    """Judged quality, by people alone and by what is left of their judgements when what the judge says is taken off."""
    bound, limit = reference.bound, state.share.limit
    score = np.asarray(bound.columns.get(d.judge, np.full(bound.n, np.nan)), dtype=np.float64)
    loss = d.loss.of(bound, ())
    rows = np.flatnonzero(np.isfinite(score) & np.isfinite(loss))[:ROWS_N]
    if day.labels_n is None or limit == NO_LIMIT or not len(rows):
        return of_limit(replace(d, alpha=d.alpha / 2.0), state.share, reference, day)
    y, f = loss[rows], np.clip(score[rows], state.low, state.high)
    state = replace(state, groups=_groups(f, day.records_n / day.labels_n))
    _, g, reach = payoffs_of_judge(state, y, f, np.arange(len(rows), dtype=np.float64))
    stakes_n, n = len(state.share.log_m), day.even_n(d.most_weight)
    alone = Stake(np.zeros(len(rows)), 0.0, STAKES)
    beside = Stake(g - y, reach, ppi_score_floor.BESIDE_STAKES)

    def smallest(times: float) -> float:
        grown = smallest_growth(y, alpha=d.alpha, limit=limit, n=times * n, stakes=(alone, beside), bets_n=stakes_n)
        return grown if math.isinf(grown) else d.shown(grown)

    floor = f"{d.shown(limit):.3g}"
    return seen(d, smallest, lambda now: f"it falls to {now:.3g} (floor {floor})", n=day.labels_n, unit="labels", never=NO_ROOM)


def _scored(d: Any, reference: Reference) -> tuple[Floats, Floats]:  # noqa: ANN401 (both have labels)
    """(confidence, 1 where the answer is wrong) of the bound rows that have it, shape (at most 2,000,)."""
    p = confidence(reference.bound, d.labels)
    rows = np.flatnonzero(np.isfinite(p))
    rows = rows[drawn_rows(len(rows), ROWS_N)]
    return np.clip(p[rows], 0.0, 1.0), reference.bound.loss[rows]


def _groups(f: Floats, records_a_label: float) -> Groups:
    """One for each row, of the rows that come after it in a random order: as many as the service will have for each label."""
    size, mixed = int(np.clip(records_a_label, 2, MOST_SIZE)), np.random.default_rng(0).permutation(f)
    means = np.mean([np.roll(mixed, -k) for k in range(size)], axis=0)
    return Groups(at=np.arange(len(f), dtype=np.float64), mean=means, begun=np.zeros(2))
