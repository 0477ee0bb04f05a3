"""A mean loss rises above its ceiling, or a mean quality falls below its floor: what the e-detectors of a mean share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.loss import FROM_MAXIMUM, Loss, source_loss, usable
from detectors.sequential.segment import OfSegment
from detectors.sequential.share import NO_LIMIT, ShareState, e_value_beside, limits_at, recent_share, start_share, step_losses
from detectors.types import EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Ceiling(OfSegment):
    """An e-detector of "the mean of a loss, clipped and brought to [0, 1], is above a limit".

    Each stake starts anew at every pane that has such a loss (Shiryaev-Roberts); alarm when the stakes' mean reaches 1/alpha. The clipped
    mean is at most the mean, so that a ceiling on the mean is one on the clipped mean too: clipping costs power, never the promise.

    With a rhythm a limit from the bound rows is one of the record's hour, where they tell hours apart (see `hour_limits`). A limit that is
    given is an absolute promise: it is the same at all hours.
    """

    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the bound on the bound rows' loss fails; not used with a fixed limit."""
    clip: float | None = None
    """A larger loss counts as this one. None: the largest of a fifth of the bound rows, or, without them, ten times the ceiling."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which hours may have limits of their own; not used with a fixed limit."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = (
        "mean run length between false alarms of at least (1 - delta)/alpha panes with labels; delta = 0 with a fixed limit"
    )
    assumption: ClassVar[str] = (
        "given the past, the mean loss is at most the limit (with a rhythm: that of its hour); bound rows are independent draws no "
        "training saw; labels come unselected"
    )
    cost: ClassVar[str] = "O(6) a pair; state of 6 numbers and counts"
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; Waudby-Smith & Ramdas 2024, arXiv:2010.09686"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if self.clip is not None and not 0.0 < self.clip < math.inf:
            raise ValueError(f"clip must be above 0, got {self.clip}; None takes it from the bound rows")

    @property
    def loss(self) -> Loss:
        """What is averaged."""
        raise NotImplementedError

    @property
    def classes(self) -> Sequence[str]:
        """In the order of the scores."""
        return ()

    @property
    def fixed(self) -> float | None:
        """The most that the mean loss may be, in its own unit; None = from the bound rows."""
        raise NotImplementedError

    def above(self, upper: float) -> float:
        """The most that it may be, by the bound rows' upper bound."""
        raise NotImplementedError

    def shown(self, mean: float) -> float:
        """The figure that a person knows, of a mean loss."""
        return mean

    @property
    def subject(self) -> str:
        """The figure."""
        raise NotImplementedError

    def start(self, reference: Reference) -> ShareState:
        """The limit; INSUFFICIENT for good when the bound rows leave no room for one."""
        if self.fixed is not None:
            clip = 1.0 if self.loss.is_bounded else self.clip or source_clip(reference, self) or FROM_MAXIMUM * self.fixed
            return start_share(self.fixed / clip, bound_n=0, bound_value=self.fixed, is_restarting=True, clip=clip)
        bound = self.kept(reference.bound)
        found = source_loss(bound, self.loss, self.classes, delta=self.delta, clip=self.clip, rhythm=self.rhythm)
        limit, hours = self.above(found.upper) / found.clip if found.n else NO_LIMIT, found.limits(self.above)
        return start_share(limit, bound_n=found.n, bound_value=found.upper, is_restarting=True, clip=found.clip, hours=hours)

    def step(self, state: ShareState, data: Increment) -> tuple[ShareState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without a loss is no step."""
        pairs = self.kept(data.pairs)
        limits = limits_at(state, pairs, data.start)
        found = usable(pairs, self.loss, self.classes, clip=state.clip, most_weight=self.most_weight, limits=limits)
        state = step_losses(state, found.x, restart_alpha=self.alpha, weight=found.weight, limits=found.limits)
        log10_e = log10_mean(state.log_m) if state.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        *shares, n = recent_share(state, is_alarm=is_alarm)
        most = max(0.0, state.limit_of(is_alarm=is_alarm))
        value, low, high, limit = (self.shown(state.clip * share) for share in (*shares, most))
        outcome, because = self.sure(state, *self._says(state, n, value, limit, is_alarm=is_alarm))
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=0.0 if self.fixed is not None else self.delta),
            value=value,
            low=min(low, high),
            high=max(low, high),
            n=n,
            because=because,
            limit=None if state.limit == NO_LIMIT else limit,
            e_value=e_value_beside(state),
        )

    def _says(self, state: ShareState, n: int, value: float, limit: float, *, is_alarm: bool) -> tuple[Outcome, str]:
        """(outcome, because)."""
        if state.limit == NO_LIMIT:
            known = f"{self.subject} may be {self.shown(state.bound_value):.3g} on {state.bound_n} bound rows"
            return Outcome.INSUFFICIENT, f"{known}: too few, or too uncertain, to set a limit"
        if n == 0:
            return Outcome.INSUFFICIENT, "no labelled records that count yet"
        clipped = "" if self.loss.is_bounded else f", losses above {self.shown(state.clip):.3g} counted as that"
        figures = f"{self.subject} {value:.3g} on the last {n} labelled records{clipped}"
        side = "below the floor" if self.loss is Loss.QUALITY else "above the ceiling"
        return (
            (Outcome.ALARM, f"{figures}: {side} {limit:.3g}{state.hours_in_words}")
            if is_alarm
            else (Outcome.OK, f"{figures}: no evidence that it is {side} {limit:.3g}{state.hours_in_words}")
        )


def source_clip(reference: Reference, ceiling: Ceiling) -> float | None:
    """The clip that the bound rows give, if it leaves room for the fixed limit."""
    found = source_loss(ceiling.kept(reference.bound), ceiling.loss, ceiling.classes, delta=0.5)
    return found.clip if found.n and ceiling.fixed is not None and found.clip > 2.0 * ceiling.fixed else None
