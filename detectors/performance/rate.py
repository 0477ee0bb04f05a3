"""An exact interval for a rate, and the verdict on a rate against a minimum: what accuracy, precision, recall and F1 share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import betaincinv

from detectors.types import Outcome, Score, Verdict

if TYPE_CHECKING:
    from detectors.sketches.confusion import Tally


@dataclass(frozen=True, kw_only=True, slots=True)
class Unused:
    """The state of a detector that needs nothing of the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """`hits` of `n`, with an interval, all in [0, 1]."""

    hits: int
    n: int
    value: float
    low: float
    high: float


def binomial(hits: int, n: int, alpha: float) -> Rate:
    """Clopper & Pearson's interval (1934): holds with at least 1 - alpha for every n. n = 0 knows nothing: [0, 1]."""
    if not n:
        return Rate(hits=0, n=0, value=0.5, low=0.0, high=1.0)
    low = float(betaincinv(hits, n - hits + 1, alpha / 2.0)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1.0 - alpha / 2.0)) if hits < n else 1.0
    return Rate(hits=hits, n=n, value=hits / n, low=low, high=high)


def weighted(hits: Tally, of: Tally, alpha: float) -> Rate:
    """Of weighted pairs: the same interval at (sum w)^2 / (sum w^2) pairs, Kish's effective number (Korn & Graubard 1998).

    With equal weights it is `binomial`; with others it holds about, not at least.
    """
    if not of.n or of.w2 <= 0.0:
        return binomial(0, 0, alpha)
    n = of.w * of.w / of.w2
    share = min(1.0, max(0.0, hits.w / of.w))
    k = share * n
    low = float(betaincinv(k, n - k + 1, alpha / 2.0)) if k > 0.0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1.0 - alpha / 2.0)) if k < n else 1.0
    return Rate(hits=hits.n, n=of.n, value=share, low=min(low, share), high=max(high, share))


def check_settings(alpha: float, minimum: float | None, min_n: int) -> None:
    """`ValueError` with value, rule and remedy."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), got {alpha}; 0.05 gives 95 % intervals")
    if minimum is not None and not 0.0 < minimum < 1.0:
        raise ValueError(f"minimum must be in (0, 1) or None, got {minimum}; None reports without a limit")
    if min_n < 1:
        raise ValueError(f"min_n must be at least 1, got {min_n}; with 20 a rate of .9 is known to within about .2")


def rate_verdict(rate: Rate, *, detector: str, subject: str, minimum: float | None, min_n: int, what: str, dropped: int) -> Verdict:
    """Alarm when even the upper end is below `minimum`; `what` names what is counted in `rate.n`, in the plural."""
    if dropped:
        outcome, because = Outcome.INSUFFICIENT, f"{subject}: more combinations of labels than can be counted; is this a classification?"
    elif rate.n < min_n:
        outcome, because = Outcome.INSUFFICIENT, f"{subject}: {rate.n} {what}, {min_n} are needed"
    else:
        figure = f"{subject} is {rate.value:.3f}, between {rate.low:.3f} and {rate.high:.3f}, on {rate.n} {what}"
        is_low = minimum is not None and rate.high < minimum
        outcome = Outcome.ALARM if is_low else Outcome.OK
        claim = "all of it below" if is_low else "not all of it below"
        because = f"{figure}; " + ("no minimum is set" if minimum is None else f"{claim} the minimum of {minimum:g}")
    evidence = Score(distance=1.0 - rate.value, limit=1.0 - (minimum or 0.0))
    return Verdict(
        detector=detector,
        subject=subject,
        outcome=outcome,
        evidence=evidence,
        value=rate.value,
        low=rate.low,
        high=rate.high,
        n=rate.n,
        because=because,
        limit=minimum,
    )
