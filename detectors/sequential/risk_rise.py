"""The labelled part's loss rose above what it was: an e-detector of exact ranks among bound rows and past, quick where bound rows are few.

`risk_change` holds the loss to a limit that few bound rows leave high: .365 for a loss of .24 on 200. But the labels before a change say
what the loss was, too. Here nothing is bounded, so nothing has to be allowed for: a rank among all losses so far is uniform, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates
from detectors.sequential.interval import share_sequence
from detectors.sequential.loss import Loss
from detectors.sequential.loss_cells import cell_values, usual_mean
from detectors.sequential.loss_ranks import start_rise, step_rise
from detectors.sequential.purse import e_value_of
from detectors.sequential.recent import latest
from detectors.sequential.rise_bets import RISE_WEIGHTS
from detectors.sequential.rise_state import RiseState
from detectors.sequential.segment import OfSegment
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict


@register("risk_rise")
@dataclass(frozen=True, kw_only=True)
class RiskRise(OfSegment):
    """Ranks of the labelled records' losses bet against being uniform, upwards only, anew at every pane (Shiryaev-Roberts).

    It alarms when the bets' weighted mean reaches 1/alpha and the rise matters: the mean loss since the evidence last rested before is the
    tolerance or more above that of the bound rows and all labelled records before. This holds an alarm back and changes no evidence.

    Promised is how seldom it alarms while losses are exchangeable. A smaller rise than the tolerance is a change: nothing is promised of
    it but that it is estimated as a larger one when it alarms. Nor is it promised that a rise is seen: it becomes its own past. One that
    was seen stays in alarm until it is over (see `way_back`), whatever the evidence does by then, while the mean since it began matters.

    Pairs of unequal weights are thinned: one is kept with chance weight / most_weight, so that those that stay are alike in their chance
    to be there, and exchangeable (weighted ranks would be so only with weights that are known for all records).

    With a rhythm a loss is ranked among those of records of the same hour, and a rise is one beside these, however late labels come: within
    the hour of the day where bound rows are too few for a finer one, and all hours alike where none of them carries a time (`at`).
    """

    alpha: float
    """1 / mean panes between false alarms."""
    tolerance: float = 0.05
    """Rise that is still no harm: points of a loss in [0, 1], otherwise a share of the loss before."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    loss: ClassVar[Loss] = Loss.ERROR
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = (
        "mean run length between false alarms of at least 1/alpha panes with labels, whatever the number of bound rows"
    )
    assumption: ClassVar[str] = (
        "losses of bound rows (if any) and labelled records, as labels come, are exchangeable: independent draws from one distribution, "
        "say (with a rhythm: those of each hour from one of its own)"
    )
    cost: ClassVar[str] = (
        "a normal score and 150 comparisons a pair; state of 2 cells (judged 101, of numbers 258), five numbers in each (with a rhythm "
        "one of each hour in those that a loss fell into)"
    )
    source: ClassVar[str] = "Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, 0.5)
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"tolerance must be in [0, 1), got {self.tolerance}; 0.05 = five errors more in a hundred are still no harm")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(alpha=0.01, tolerance=0.05)

    @property
    def subject(self) -> str:
        """The model's risk."""
        return self.named("risk")

    def start(self, reference: Reference) -> RiseState:
        """The bound rows' losses; without any it begins with the past alone."""
        return start_rise(self.kept(reference.bound), self.loss, self.rhythm)

    def step(self, state: RiseState, data: Increment) -> tuple[RiseState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any is no step."""
        pairs, of = self.kept(data.pairs), f"{self.name} {self.subject}"
        begun, weight = data.start, self.most_weight
        state = step_rise(state, pairs, self.loss, start=begun, alpha=self.alpha, most_weight=weight, of=of, rhythm=self.rhythm)
        return state, self._verdict(state)

    def _verdict(self, state: RiseState) -> Verdict:
        n, sums = latest(state.recent, is_alarm=False) if state.log_back is None else state.late
        values, is_bounded = cell_values(self.loss), self.loss.is_bounded
        late, hours = np.split(sums, [len(values)])
        value, most = usual_mean(values, late, is_bounded=is_bounded)
        quiet, _ = usual_mean(values, state.alike(hours), is_bounded=is_bounded)
        limit = quiet + self.tolerance * (1.0 if is_bounded else quiet)
        low, high = (most * x for x in share_sequence(value / most * n, n, 0.05)) if most > 0.0 else (0.0, 1.0)
        apart = state.told_apart(self.rhythm)
        same = "" if apart is Rhythm.NONE else f" {apart.words}"
        known = f"{quiet:.3g}{same} on the {state.before.sum():.0f} before ({state.bound_n} bound rows among them)"
        outcome, because = self._says(state, f"loss {value:.3g} on the last {n} labelled records, {known}", value, limit)
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=EDetectorValue(log10_e=state.log10_e, alpha=self.alpha),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because if self.within is None else f"{self.within}: {because}",
            limit=limit if n else None,
            e_value=e_value_of(state.purse, RISE_WEIGHTS) if n else None,
        )

    def _says(self, state: RiseState, figures: str, value: float, limit: float) -> tuple[Outcome, str]:
        """(outcome, because)."""
        least = 0 if self.within is None else self.within.least_n
        if state.n == 0:
            return Outcome.INSUFFICIENT, "no labelled records yet"
        if state.n < least:
            return Outcome.INSUFFICIENT, f"only {state.n} labelled records so far: it is judged from {least} on"
        if state.log_back is None:
            return Outcome.OK, f"{figures}: no evidence that it rose"
        if value < limit:
            return Outcome.OK, f"{figures}: it rose, but up to {limit:.3g} is fine"
        return Outcome.ALARM, f"{figures}: it rose; up to {limit:.3g} would be fine"


@register("risk_value_rise")
@dataclass(frozen=True, kw_only=True)
class RiskValueRise(RiskRise):
    """Of numbers: the absolute error, to a fifth. No clip: ranks know no scale, and in its figures the largest hundredth is cut off."""

    loss: ClassVar[Loss] = Loss.ABSOLUTE_ERROR
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})


@register("risk_judged_rise")
@dataclass(frozen=True, kw_only=True)
class RiskJudgedRise(RiskRise):
    """Of judged answers: 1 less the quality, in hundredths."""

    loss: ClassVar[Loss] = Loss.QUALITY
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY})
