"""Label shift by scores: what shares of production the classes truly have, by maximum likelihood from calibrated scores (MLLS)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import ndtri

from detectors.performance.calibration import Calibration
from detectors.performance.priors import by_scores
from detectors.performance.scored import calibration_of, numbered, with_scores
from detectors.registry import register
from detectors.sequential.row_bets import PANE_N
from detectors.sketches.score_bins import bin_of
from detectors.types import Eats, Increment, Kind, Outcome, Reference, Score, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_POOL_N = 2000
_ANEW_N = 64
"""Records that are worth a new estimate."""
_LEAST_CHANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ScoresState:
    """Labelled reference rows, and the latest records."""

    calibration: Calibration
    prior: Floats
    """Shares of the classes in the labelled reference rows, shape (k,)."""
    pool: NDArray[np.float32]
    """At most 2,000 records' scores, shape (records, k)."""
    fresh_n: int = 0
    """Records since the last estimate."""
    found: tuple[float, ...] = ()
    """Share, low, high, its change in standard errors; () = none yet."""
    n: int = 0
    """Records that it speaks of."""


@register("label_shift_scores")
@dataclass(frozen=True, kw_only=True)
class LabelShiftScores:
    """One class's true share of the latest 2,000 records. Narrower than `label_shift`, which reads the answers alone."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ESTIMATES
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "interval with about 1 - alpha at one look (observed information, widened by the calibrator's finite rows)"
    assumption: ClassVar[str] = (
        "only the shares of the classes change, not what each class looks like; labelled reference rows and records are independent draws"
    )
    cost: ClassVar[str] = "10 ms every 64 records; 2,000 rows of 4 bytes a class"
    source: ClassVar[str] = "Saerens, Latinne & Decaestecker 2002; Alexandari, Kundaje & Shrikumar 2020, arXiv:1901.06852"

    label: str
    labels: tuple[str, ...]
    alpha: float = 0.01
    min_n: int = 100
    """Fewer records, or labelled reference rows: insufficient."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha must be in (0, 1), got {self.alpha}; 0.01 = one in a hundred")
        if self.label not in self.labels:
            raise ValueError(f"label must be one of {self.labels}, got {self.label!r}")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(label="positive", labels=("negative", "positive"))

    @property
    def subject(self) -> str:
        """The class's share."""
        return f"label_share[label={self.label}]"

    def start(self, reference: Reference) -> ScoresState:
        """What a score means, and how often each class was true."""
        k, rows = len(self.labels), with_scores(reference.bound, self.labels)
        truth = np.empty(0, dtype=np.int64) if rows is None else numbered(rows.label, self.labels)
        prior = np.bincount(truth, minlength=k) / max(1, len(truth))
        return ScoresState(calibration=calibration_of(reference, self.labels), prior=prior, pool=np.empty((0, k), np.float32))

    def step(self, state: ScoresState, data: Increment) -> tuple[ScoresState, Verdict]:
        """One closed pane; a new estimate whenever that is worth it."""
        scores = data.columns.get("output.scores")
        if scores is not None and scores.shape[1:] == (len(self.labels),):
            fresh = scores[:PANE_N][np.isfinite(scores[:PANE_N]).all(axis=1)].astype(np.float32)
            pool = np.concatenate([state.pool, fresh])[-_POOL_N:]
            state = replace(state, pool=pool, fresh_n=state.fresh_n + len(fresh))
        if state.fresh_n >= (_ANEW_N if state.found else self.min_n) and self._is_known(state):
            state = self._anew(state)
        return state, self._verdict(state)

    def _is_known(self, state: ScoresState) -> bool:
        return state.calibration.n >= self.min_n and bool((state.prior > 0.0).all())

    def _anew(self, state: ScoresState) -> ScoresState:
        bins = bin_of(np.clip(state.pool.astype(np.float64), 0.0, 1.0))  # (n, k)
        chance = np.stack([state.calibration.chance[j][bins[:, j]] for j in range(len(self.labels))], axis=1)
        chance = np.clip(chance, _LEAST_CHANCE, 1.0)
        found, j = by_scores(chance / chance.sum(axis=1, keepdims=True), state.prior, alpha=self.alpha), self.labels.index(self.label)
        share, before, rows_n = float(found.share[j]), float(state.prior[j]), state.calibration.n
        # a calibrator from so many labelled rows brings about the error that so many production rows would
        own = float(found.change_error[j]) ** 2 * (1.0 + len(state.pool) / rows_n)
        reach, error = -float(ndtri(self.alpha / 2.0)) * math.sqrt(own), math.sqrt(own + before * (1.0 - before) / rows_n)
        moved = abs(share - before) / error if error > 0.0 else 0.0
        return replace(state, fresh_n=0, found=(share, max(0.0, share - reach), min(1.0, share + reach), moved), n=len(state.pool))

    def _verdict(self, state: ScoresState) -> Verdict:
        limit, figures = -float(ndtri(self.alpha / 2.0)), state.found or (0.5, 0.0, 1.0, 0.0)
        if not state.found:
            known = f"{state.calibration.n:.0f} labelled reference rows with scores (both need {self.min_n}), each class among them"
            outcome = Outcome.INSUFFICIENT
            because = f"{self.subject}: {len(state.pool)} answers with scores, {known}"
        else:
            share, low, high, moved = figures
            is_alarm, before = moved > limit, state.prior[self.labels.index(self.label)]
            outcome = Outcome.ALARM if is_alarm else Outcome.OK
            because = (
                f"{share:.1%} of the last {state.n} records are probably {self.label}, between {low:.1%} and {high:.1%}, by their scores; "
                f"in the reference {before:.1%}: {'another' if is_alarm else 'no evidence of another'} share ({moved:.1f} standard errors)"
            )
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=figures[3], limit=limit),
            value=figures[0],
            low=figures[1],
            high=figures[2],
            n=state.n,
            because=because,
        )
