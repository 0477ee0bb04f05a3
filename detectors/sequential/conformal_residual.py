"""Numeric answers became too high or too low: ranks of answer less what is right, with its sign. One pane may be enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates, is_reached
from detectors.sequential.conformal_numeric import ConformalNumeric, NumericState
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.residuals import SUMS_N, Moved, Reach, residuals
from detectors.sequential.rise_state import told_apart, told_apart_by
from detectors.sequential.share import relative_weight
from detectors.sequential.ties import OF_TIES
from detectors.sketches.records import AT
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SUBJECT = "residual"


@dataclass(frozen=True, kw_only=True)
class ResidualState:
    """A state of `conformal_numeric`, and sums of residuals (see `residuals`)."""

    reach: Reach
    bound_n: int
    ranks: NumericState
    past: Floats
    """Of bound rows and labelled records that no change has brought, (SUMS_N,)."""
    aside: Floats = field(default_factory=lambda: np.zeros(SUMS_N))
    """Of labelled records that may be of one (see `way_back`)."""
    recent: Floats = field(default_factory=lambda: no_sums(SUMS_N))


@register("conformal_residual")
@dataclass(frozen=True, kw_only=True)
class ConformalResidual:
    """Residuals of labelled records, ranked among the bound rows' and all before by `conformal_numeric`; the end of a change comes with it.

    Losses know no sign: answers that are all too high by half of their errors' scale raise the mean error by a tenth, and its ranks hardly.
    An alarm says one of two things, and is held back (which changes no evidence) where it could say neither: the mean residual moved away
    from 0, its interval all on one side, by the tolerance or more; or errors are larger by that. Those that became smaller wake nobody.
    `value` is by how much the mean moved, in the unit of the answers: above 0 they are too high, compared with the bound rows and all
    labelled records before. Residuals count in it up to 30 times half the distance of the bound rows' quartiles from their median.

    Pairs of unequal weights are thinned as by `risk_rise`: those that stay had one chance to be here, like the bound rows.

    With a rhythm ranks are among residuals of the same hour, as finely as `risk_rise` tells hours apart. Means and sizes that an alarm
    names are of all hours.
    """

    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the bound rows are further off than their radius; then the promise is void for the epoch."""
    tolerance: float = 0.05
    """Move, or rise of the mean error, that is still no harm: a share of the mean error before."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with labels"
    assumption: ClassVar[str] = (
        "bound rows are independent draws no training saw; given the past, the residual of a labelled record, as labels come, has their "
        "distribution (with a rhythm: that of their hour)"
    )
    cost: ClassVar[str] = "20 logarithms and 256 comparisons a pair; state of at most 512 cells (with a rhythm 4,096)"
    source: ClassVar[str] = "Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"tolerance must be in [0, 1), got {self.tolerance}; 0.05 = a twentieth of the mean error is still no harm")

    @classmethod
    def example(cls) -> ConformalResidual:
        """For contract tests and documentation."""
        return cls(alpha=0.01, delta=0.01, tolerance=0.05)

    @property
    def subject(self) -> str:
        """Of the answers."""
        return _SUBJECT

    def start(self, reference: Reference) -> ResidualState:
        """The bound rows' residuals; without any every verdict is INSUFFICIENT."""
        found = residuals(reference.bound)
        here, at = np.isfinite(found), reference.bound.at
        timed = np.zeros(len(found), dtype=np.bool_) if at is None else here & np.isfinite(at)
        apart = told_apart(self.rhythm, int(here.sum()), int(timed.sum()))
        here = here if apart is Rhythm.NONE else timed
        found = found[here]
        reach, ranks = Reach.of(found), self._ranking(apart).start(replace(reference, columns=_columns(found, reference.bound, here)))
        return ResidualState(reach=reach, bound_n=len(found), ranks=ranks, past=reach.sums(found))

    def step(self, state: ResidualState, data: Increment) -> tuple[ResidualState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any is no step."""
        found, weight = residuals(data.pairs), relative_weight(data.pairs, self.most_weight)
        here = np.isfinite(found)
        if weight is not None:
            here &= rank_uniforms(data.start, state.ranks.step_n, len(found), of=f"{self.name} kept")[0] < weight
        apart = told_apart_by(self.rhythm, len(state.ranks.hours))
        if apart is not Rhythm.NONE and data.pairs.at is not None:
            here &= np.isfinite(data.pairs.at)
        found = found[here]
        ranks, ranked = self._ranking(apart).step(state.ranks, replace(data, columns=_columns(found, data.pairs, here)))
        if len(found) and state.bound_n:
            state = self._added(state, ranks, state.reach.sums(found), ranked)
        return state, self._verdict(state, ranked)

    def _ranking(self, apart: Rhythm) -> ConformalNumeric:
        return ConformalNumeric(column=_SUBJECT, alpha=self.alpha, delta=self.delta, rhythm=apart)

    def _added(self, state: ResidualState, ranks: NumericState, sums: Floats, ranked: Verdict) -> ResidualState:
        """A pane's sums go where the ranks' urn has put its records; those of a change that is over have left it."""
        before, after = (sum(float(urn.weights.sum()) for urn in each.hours) for each in (state.ranks, ranks))
        is_over = after < before + sums[0]
        aside = sums if is_over else state.aside + sums
        past = state.past
        if all(urn.aside is None for urn in ranks.hours):
            past, aside = past + aside, np.zeros(SUMS_N)
        recent = add_sums(no_sums(SUMS_N) if is_over else state.recent, float(sums[0]), sums, log10_e=_log10_e(ranked), alpha=self.alpha)
        return replace(state, ranks=ranks, past=past, aside=aside, recent=recent)

    def _verdict(self, state: ResidualState, ranked: Verdict) -> Verdict:
        is_seen = ranked.outcome is Outcome.ALARM
        n, sums = (int(state.aside[0]), state.aside) if is_seen else latest(state.recent, is_alarm=False)
        if n == 0:
            value, low, high, outcome = 0.0, -state.reach.most, state.reach.most, Outcome.INSUFFICIENT
            because = "no labelled records yet" if state.bound_n else "no labelled bound rows with numbers (reference.bound)"
        else:
            moved = state.reach.moved(sums, state.past)
            value, low, high = moved.by, moved.low, moved.high
            is_of_ties = is_reached(_log10_e(ranked), self.alpha) and not is_seen
            outcome, because = (Outcome.OK, OF_TIES.format(n=n)) if is_of_ties else self._says(state, n, moved, is_seen=is_seen)
        found = replace(ranked, detector=self.name, subject=self.subject, outcome=outcome, because=because)
        return replace(found, value=value, low=low, high=high, n=n)

    def _says(self, state: ResidualState, n: int, moved: Moved, *, is_seen: bool) -> tuple[Outcome, str]:
        """(outcome, because)."""
        harmless, before_n = self.tolerance * moved.size_was, state.past[0]
        known = f"on the {before_n:.0f} before ({state.bound_n} bound rows among them)"
        means = f"on average {moved.mean:+.3g} off what is right on the last {n} labelled records, {moved.was:+.3g} {known}"
        sizes = f"their size is {moved.size:.3g} on average on the last {n} labelled records, {moved.size_was:.3g} {known}"
        if not is_seen:
            return Outcome.OK, f"{means}: no evidence that answers became too high or too low"
        if moved.low * moved.high > 0.0 and abs(moved.by) >= harmless and abs(moved.mean) > abs(moved.was):
            least, most = sorted((abs(moved.low), abs(moved.high)))
            side = "high" if moved.by > 0.0 else "low"
            return Outcome.ALARM, f"answers are too {side} by {abs(moved.by):.3g}, between {least:.3g} and {most:.3g}: {means}"
        open_side = f"the mean moved by {moved.by:+.3g}, between {moved.low:+.3g} and {moved.high:+.3g}"
        if moved.size > moved.size_was + harmless:
            return Outcome.ALARM, f"errors are larger, and not known to be more to one side ({open_side}): {sizes}"
        return Outcome.OK, f"errors changed ({open_side}), but are neither known to be more to one side nor larger: {sizes}"


def _columns(found: Floats, pairs: Pairs, here: NDArray[np.bool_]) -> dict[str, Floats]:
    """What is ranked: residuals and, where they are known, the times of those pairs' records."""
    return {_SUBJECT: found} if pairs.at is None else {_SUBJECT: found, AT: pairs.at[here]}


def _log10_e(verdict: Verdict) -> float:
    return verdict.evidence.log10_e if isinstance(verdict.evidence, EDetectorValue) else 0.0
