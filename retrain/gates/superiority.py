"""Gate: the candidate is better than the champion on the one slice that was named before the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.types import Outcome, PValue, Verdict
from retrain.gates.paired import Difference, clustered_low, clustered_p, difference, exact_low, exact_p, signs
from retrain.types import Evaluation


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """Passes when the lower bound of the paired gain is above 0.

    Guarantee: a candidate that is no better passes with probability at most `alpha` (exact below 25 discordant pairs and single rows,
    asymptotic in the number of clusters otherwise). Assumption: rows seen by neither training nor checkpoint choice.
    """

    name: ClassVar[str] = "superiority"
    alpha: float
    planned_n: int
    """Rows that the power calculation asked for; with fewer a person is asked, whatever the figures say."""
    slice: str = "recent"

    def judge(self, champion: Evaluation, candidate: Evaluation) -> Verdict:
        """OK: better. ALARM: not shown to be better. INSUFFICIENT: fewer rows than planned."""
        diff = difference(champion, candidate)
        low, p = _bound(diff, self.alpha)
        if diff.n < self.planned_n:
            outcome, said = Outcome.INSUFFICIENT, f"only {diff.n} of the {self.planned_n} planned rows"
        elif low > 0.0:
            outcome, said = Outcome.OK, f"better by {diff.mean:.3f}, at least {low:.3f} at alpha {self.alpha:g}"
        else:
            outcome, said = Outcome.ALARM, f"not shown to be better: gain {diff.mean:.3f}, lower bound {low:.3f} at alpha {self.alpha:g}"
        because = f"{self.slice}: {said} (n = {diff.n}, {diff.better_n} better, {diff.worse_n} worse)."
        return Verdict(
            detector=self.name,
            subject=f"accuracy[slice={self.slice}]",
            outcome=outcome,
            evidence=PValue(p=p, alpha=self.alpha),
            value=diff.mean,
            low=min(low, diff.mean),
            high=1.0,
            n=diff.n,
            because=because,
        )


def _bound(diff: Difference, alpha: float) -> tuple[float, float]:
    """(lower bound, p-value)."""
    if diff.n == 0:
        return -1.0, 1.0
    if not diff.is_few:
        return clustered_low(diff, alpha), clustered_p(diff, 0.0)
    better, worse = signs(diff)
    low, p = exact_low(better, worse, diff.n, alpha), exact_p(better, worse)
    if diff.is_clustered:  # the sign test asks about clusters, not rows: both must hold
        low, p = min(low, clustered_low(diff, alpha)), max(p, clustered_p(diff, 0.0))
    return low, p
