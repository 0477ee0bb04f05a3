"""The labelled part's loss rose above the source bound plus a tolerance: an e-detector, quick after any good past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import is_reached, log10_mean
from detectors.sequential.loss import Loss
from detectors.sequential.risk import check_risk, start_risk, step_risk, why_no_limit
from detectors.sequential.segment import OfSegment
from detectors.sequential.share import NO_LIMIT, ShareState, e_value_beside, recent_share
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict


@register("risk_change")
@dataclass(frozen=True, kw_only=True)
class RiskChange(OfSegment):
    """The bets of `risk`, anew at every pane (Shiryaev-Roberts): M <- (M + 1) prod(bets), alarm when the stakes' mean reaches 1/alpha.

    With a rhythm a record is held to the limit of its hour, where bound rows tell hours apart (see `hour_limits`).
    """

    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the source bound fails; then the promise is void for the epoch."""
    tolerance: float = 0.05
    """Extra loss that is still no harm: points of a loss in [0, 1], otherwise a share of the bound."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which hours may have limits of their own."""

    name: ClassVar[str]
    loss: ClassVar[Loss] = Loss.ERROR
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with labels"
    assumption: ClassVar[str] = (
        "bound rows are independent draws no training or gate saw; a label's chance to come does not depend on the error (with a rhythm: "
        "the mean at each hour is at most the limit that bound rows of hours like it give)"
    )
    cost: ClassVar[str] = "O(1) a pane; state of 6 numbers and counts"
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; Podkopaev & Ramdas 2022, arXiv:2110.06177"

    def __post_init__(self) -> None:
        check_risk(self.alpha, self.delta, self.tolerance)

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(alpha=0.01, delta=0.01, tolerance=0.05)

    @property
    def subject(self) -> str:
        """The model's risk."""
        return self.named("risk")

    def start(self, reference: Reference) -> ShareState:
        """The limit; without bound rows every verdict is INSUFFICIENT."""
        wanted: dict[str, Any] = {"delta": self.delta, "tolerance": self.tolerance, "rhythm": self.rhythm}
        return start_risk(self.kept(reference.bound), self.loss, is_restarting=True, **wanted)

    def step(self, state: ShareState, data: Increment) -> tuple[ShareState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any is no step."""
        begun, pairs = data.start, self.kept(data.pairs)
        state = step_risk(state, pairs, self.loss, start=begun, restart_alpha=self.alpha, most_weight=self.most_weight)
        log10_e = log10_mean(state.log_m) if state.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        *shares, n = recent_share(state, is_alarm=is_alarm)
        value, low, high, limit = (state.clip * x for x in (*shares, state.limit_of(is_alarm=is_alarm)))
        figures = f"loss {value:.3f} on the last {n} labelled records, between {low:.3f} and {high:.3f}"
        if state.limit == NO_LIMIT or n == 0:
            outcome, because = Outcome.INSUFFICIENT, why_no_limit(state) if state.limit == NO_LIMIT else "no labelled records yet"
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"{figures}: above the source bound plus tolerance, {limit:.3f}{state.hours_in_words}"
        else:
            outcome, because = Outcome.OK, f"{figures}: no evidence that it rose above {limit:.3f}{state.hours_in_words}"
        outcome, because = self.sure(state, outcome, because)
        evidence = EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta)
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            limit=None if state.limit == NO_LIMIT else limit,
            e_value=e_value_beside(state),
        )


@register("risk_value_change")
@dataclass(frozen=True, kw_only=True)
class RiskValueChange(RiskChange):
    """Of numbers: the absolute error, clipped at the largest one of a fifth of the bound rows (the others make the bound), over it."""

    loss: ClassVar[Loss] = Loss.ABSOLUTE_ERROR
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})


@register("risk_judged_change")
@dataclass(frozen=True, kw_only=True)
class RiskJudgedChange(RiskChange):
    """Of judged answers: 1 less the quality."""

    loss: ClassVar[Loss] = Loss.QUALITY
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY})
