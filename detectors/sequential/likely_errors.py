"""Harm before labels come: more records of the kind that the model is known to be wrong about (SHSD)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import rel_entr

from detectors.registry import register
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.error_table import ErrorTable, inputs_of, table_of
from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.row_bets import PANE_N
from detectors.sequential.share import ShareState, recent_share, start_share, step_counts
from detectors.types import Eats, Increment, Kind, Outcome, Reference, Score, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_GRID_N = 8
_UNSURE = 0.1
"""Chance that a threshold's precision is below its lower bound; it is part of what the word means, not of how rarely it is said."""
_MOST_LIMIT = 0.9
"""A share of suspects that may be higher leaves too little room to rise above it."""
_NO_THRESHOLD = 2.0
"""A chance of error that no record reaches."""


def _growth(is_suspect: NDArray[np.bool_], loss: Floats, limit: Floats) -> Floats:
    """What a record is worth in a bet on more suspects than the limit, in nats by threshold, if all are like those that went wrong.

    Below 0: even then there are no more.
    """
    share, most = is_suspect @ loss / max(loss.sum(), 1.0), np.clip(limit, 0.0, _MOST_LIMIT)  # (thresholds,)
    return np.asarray((rel_entr(share, most) + rel_entr(1.0 - share, 1.0 - most)) * np.sign(share - most), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class LikelyErrorsState:
    """The error estimator, its threshold, and the bets on the share of records above it."""

    table: ErrorTable | None
    threshold: float
    """A record is suspect when its estimated chance of error is above this."""
    precision: float
    """Lower bound of the share of wrong answers among the suspect."""
    share: ShareState


@register("likely_errors")
@dataclass(frozen=True, kw_only=True)
class LikelyErrors:
    """An error estimator, learnt on half of the labelled rows, picks suspect records; does production bring more of them than it may?

    The threshold on the estimated chance of error comes from the other half: of those whose suspects are wrong in a share of at least
    `precision` (by a lower bound) and leave room for more, the one at which records like those that went wrong would show soonest (a low
    one lets so much pass that suspects are many anyway, a high one few of the wrong). If suspects are so in production as well, a share of
    them that is `tolerance` / precision above the source's upper bound means a loss that is `tolerance` higher: bets on that as in
    `risk_change`.
    """

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""
    columns: tuple[str, ...] = ()
    """Subjects of inputs that are read beside the answer's label, confidence and margin."""
    alpha: float = 0.001
    """1 / mean panes between false words, if the share of suspects is no higher than it may be."""
    delta: float = 0.01
    """Chance that the bound on the source's share of suspects fails."""
    tolerance: float = 0.05
    """Extra loss that is still no harm."""
    precision: float = 0.25
    """Least share of wrong answers among the suspect in the labelled rows. More is not to be had of a calibrated model with two classes:
    where it is least sure it is wrong in half of its answers."""
    min_n: int = 100
    """Fewer labelled reference rows: insufficient."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.EXPLAINS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.TABLE, Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "a mean of at least (1 - delta)/alpha panes with records between false words, while the share of suspect records is at most the "
        "source's upper bound and what the tolerance adds"
    )
    assumption: ClassVar[str] = (
        "bound rows are independent draws; for the word harm: suspect records are wrong at least as often, and the others no less often, "
        "than in the reference; a changed concept is not seen"
    )
    cost: ClassVar[str] = "0.5 ms a pane of up to 50 records, 5 ms of 2,000 (later ones are left out); state of 30 KB for 4 columns"
    source: ClassVar[str] = (
        "Amoukou et al. 2024, Sequential Harmful Shift Detection Without Labels, arXiv:2412.12910; Shin et al. 2022, arXiv:2203.03532"
    )

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        check_rates(self.precision, self.tolerance)
        if self.min_n < 8:  # noqa: PLR2004 (two halves of four)
            raise ValueError(f"min_n must be at least 8, got {self.min_n}; 100 rows can show a threshold")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(labels=("negative", "positive"), columns=("input.age", "input.channel"), alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """What it asks about."""
        return "errors expected by inputs"

    def start(self, reference: Reference) -> LikelyErrorsState:
        """The estimator from half A of the bound rows, threshold and bounds from half B: of whichever threshold is chosen."""
        table = table_of(reference.bound, self.columns)
        if table is None or reference.bound.n < self.min_n:
            return LikelyErrorsState(table=None, threshold=_NO_THRESHOLD, precision=0.0, share=self._no_share(reference.bound.n))
        hold = reference.bound.take(table.kept)
        risk = table.risk(table.features(table.hold))
        grid = np.unique(np.quantile(risk, np.arange(1, _GRID_N + 1) / (_GRID_N + 1)))
        is_suspect = risk > grid[:, None]  # (thresholds, n)
        n = is_suspect.sum(axis=1)
        precision = np.where(n > 0, lower_share(is_suspect @ hold.loss, n, _UNSURE), 0.0)
        bound = upper_share(n, hold.n, self.delta / len(grid))
        limit = bound + self.tolerance / np.maximum(precision, self.precision)
        fit = np.flatnonzero((precision >= self.precision) & (limit <= _MOST_LIMIT))
        if not len(fit):
            return LikelyErrorsState(table=table, threshold=_NO_THRESHOLD, precision=0.0, share=self._no_share(hold.n))
        chosen = int(fit[np.argmax(_growth(is_suspect, hold.loss, limit)[fit])])
        share = start_share(float(limit[chosen]), bound_n=hold.n, bound_value=float(bound[chosen]), is_restarting=True)
        least = float(precision[chosen])
        return LikelyErrorsState(table=table, threshold=float(grid[chosen]), precision=least, share=share)

    def _no_share(self, n: int) -> ShareState:
        return start_share(_NO_THRESHOLD, bound_n=n, bound_value=1.0, is_restarting=True)

    def step(self, state: LikelyErrorsState, data: Increment) -> tuple[LikelyErrorsState, Verdict]:
        """One closed pane's records, labelled or not; a pane without any is no step."""
        columns = {subject: values[:PANE_N] for subject, values in data.columns.items()}
        n = min(data.n, PANE_N)
        if n and state.table is not None and state.threshold < _NO_THRESHOLD and "output.label" in columns:
            asked = inputs_of(columns, columns["output.label"], columns.get("output.scores"), self.columns)
            risk = state.table.risk(state.table.features(state.table.encode(asked, n)))
            share = step_counts(state.share, n, int((risk > state.threshold).sum()), restart_alpha=self.alpha)
            state = replace(state, share=share)
        return state, self._verdict(state)

    def _verdict(self, state: LikelyErrorsState) -> Verdict:
        log10_e = log10_mean(state.share.log_m) if state.share.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        value, low, high, n = recent_share(state.share, is_alarm=is_alarm)
        if n == 0:
            outcome, because = Outcome.INSUFFICIENT, self._why_not(state)
        else:
            outcome = Outcome.ALARM if is_alarm else Outcome.OK
            because = self._told(state, value, n, is_alarm=is_alarm)
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=log10_e, limit=-math.log10(self.alpha)),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            limit=state.share.limit if n else None,
        )

    def _why_not(self, state: LikelyErrorsState) -> str:
        if state.table is None:
            return f"{state.share.bound_n} labelled rows are kept for the bound, {self.min_n} are needed"
        if state.threshold == _NO_THRESHOLD:
            return f"no kind of record is known, and few enough, of which the model is wrong in {self.precision:.0%} or more"
        return "no records yet"

    def _told(self, state: LikelyErrorsState, value: float, n: int, *, is_alarm: bool) -> str:
        kind = f"of a kind of which the model got {state.precision:.0%} wrong or more"
        seen = f"{value:.0%} of the last {n} records are {kind}, at most {state.share.bound_value:.0%} in the reference"
        if not is_alarm:
            return f"{seen}: no evidence of {self.tolerance:.0%} more errors"
        more = state.precision * (value - state.share.bound_value)
        return f"{seen}: if it still does, it is wrong in at least {more:.0%} more of all answers"
