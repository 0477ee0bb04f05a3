"""ROC AUC of a class falls below its floor: an e-detector on disjoint pairs of records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.interval import upper_mean
from detectors.sequential.segment import OfSegment
from detectors.sequential.share import NO_LIMIT, ShareState, e_value_beside, recent_share, start_share, step_losses
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WAITING_N = 1000


@dataclass(frozen=True, kw_only=True)
class AucState:
    """The bet, and scores that wait for one of the other kind, oldest first."""

    share: ShareState
    hits: Floats
    """Scores of records of the class."""
    others: Floats


@register("auc_floor")
@dataclass(frozen=True, kw_only=True)
class AucFloor(OfSegment):
    """Each record of the class is paired with one of the others, in the order of their labels; a loss when the other scores higher.

    AUC is the chance that it does not, so that its mean loss is 1 - AUC: disjoint pairs make independent losses of 0, 1/2 (a tie) or 1, and
    the bets of the floors hold. A pair is known when its second label is: evidence counts whole pairs only. The price: as many losses as
    there are records of the rarer kind. Of a kind that is far ahead 1,000 wait, later ones are left out. Weights are not read.
    """

    alpha: float
    """1 / mean panes between false alarms."""
    label: str
    """The class that is told from the rest."""
    labels: tuple[str, ...]
    """All classes, in the order of the scores."""
    minimum: float | None = None
    """The floor. None: derived from `max_drop`."""
    max_drop: float | None = None
    """Floor = lower bound (at delta) of AUC on the bound rows, less this. Ignored when `minimum` is given."""
    delta: float = 0.01
    """Chance that the lower bound on the bound rows fails; not used with `minimum`."""
    most_weight: float = 1.0
    """As of the other floors; not read."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = (
        "mean run length between false alarms of at least (1 - delta)/alpha panes with a new pair; delta = 0 with `minimum`"
    )
    assumption: ClassVar[str] = "records independent, one sampling probability, labels unselected; bound rows no training saw"
    cost: ClassVar[str] = "O(6) a pair; state of 6 numbers and at most 2,000 scores"
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; AUC as a probability: Hanley & McNeil 1982"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if self.label not in self.labels or (self.minimum is None and self.max_drop is None):
            raise ValueError(f"label must be one of labels, and `minimum` or `max_drop` be given; got {self.label!r} of {self.labels}")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(label="positive", labels=("negative", "positive"), minimum=0.7, alpha=0.01)

    @property
    def subject(self) -> str:
        """Of one class."""
        return self.named(f"roc_auc[label={self.label}]")

    def start(self, reference: Reference) -> AucState:
        """The floor; INSUFFICIENT for good when the bound rows leave no room for one."""
        nothing = np.zeros(0)
        floor, bound_n, low = self.minimum, 0, 0.0
        if floor is None:
            losses, _, _ = _paired(nothing, nothing, *self._scores(self.kept(reference.bound)))
            bound_n, low = len(losses), 1.0 - upper_mean(losses, self.delta) if len(losses) else 0.0
            floor = low - (self.max_drop or 0.0)
        limit = 1.0 - floor if floor > 0.0 else NO_LIMIT
        return AucState(share=start_share(limit, bound_n=bound_n, bound_value=low, is_restarting=True), hits=nothing, others=nothing)

    def step(self, state: AucState, data: Increment) -> tuple[AucState, Verdict]:
        """One closed pane's newly labelled pairs; a pane that completes no pair is no step."""
        losses, hits, others = _paired(state.hits, state.others, *self._scores(self.kept(data.pairs)))
        share = step_losses(state.share, losses, restart_alpha=self.alpha)
        state = replace(state, share=share, hits=hits[:_WAITING_N], others=others[:_WAITING_N])
        log10_e = log10_mean(share.log_m) if share.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        loss, low, high, n = recent_share(share, is_alarm=is_alarm)
        outcome, because = self.sure(share, *self._says(share, n, 1.0 - loss, is_alarm=is_alarm))
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta if self.minimum is None else 0.0),
            value=1.0 - loss,
            low=1.0 - high,
            high=1.0 - low,
            n=n,
            because=because,
            limit=None if share.limit == NO_LIMIT else 1.0 - share.limit,
            e_value=e_value_beside(share),
        )

    def _scores(self, pairs: Pairs) -> tuple[Floats, Floats]:
        """(scores of the class's records, of the others), in order."""
        if pairs.scores is None:
            return np.zeros(0), np.zeros(0)
        p = pairs.scores[:, self.labels.index(self.label)]
        is_hit, given = np.asarray(pairs.label == self.label, dtype=np.bool_), np.isfinite(p)
        return p[is_hit & given], p[~is_hit & given]

    def _says(self, share: ShareState, n: int, auc: float, *, is_alarm: bool) -> tuple[Outcome, str]:
        if share.limit == NO_LIMIT:
            known = f"{self.subject} is at least {share.bound_value:.3f} on {share.bound_n} pairs of bound rows"
            return Outcome.INSUFFICIENT, f"{known}: too few to set a floor {self.max_drop or 0.0:g} lower"
        if n == 0:
            return Outcome.INSUFFICIENT, "no two labelled records with scores, one of the class and one of another, yet"
        figures, floor = f"{self.subject} {auc:.3f} on the last {n} pairs of records", 1.0 - share.limit
        if is_alarm:
            return Outcome.ALARM, f"{figures}: below the floor {floor:.3f}"
        return Outcome.OK, f"{figures}: no evidence that it is below the floor {floor:.3f}"


def _paired(hits: Floats, others: Floats, new_hits: Floats, new_others: Floats) -> tuple[Floats, Floats, Floats]:
    """(losses of whole pairs, scores that still wait: of the class, of the others)."""
    hits, others = np.concatenate([hits, new_hits]), np.concatenate([others, new_others])
    n = min(len(hits), len(others))
    losses = 0.5 * ((others[:n] > hits[:n]).astype(np.float64) + (others[:n] >= hits[:n]))
    return losses, hits[n:], others[n:]
