"""Gate: the candidate is not worse than the champion by a margin, on the old domain or in one protected group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.types import Outcome, PValue, Verdict
from retrain.gates.paired import Difference, clustered_low, clustered_p, difference, score_low, score_p
from retrain.types import Evaluation


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """Passes when the lower bound of the paired gain is above -`margin`.

    Guarantee: a candidate that is worse by the margin passes with probability at most about `alpha` (Tango's score below 25 discordant
    pairs, asymptotic in the number of clusters otherwise). All such gates must pass, so each has the full alpha.
    """

    name: ClassVar[str] = "non_inferiority"
    alpha: float
    margin: float
    min_n: int
    """Fewer rows: INSUFFICIENT, so a person is asked."""
    slice: str = "old_domain"
    column: str | None = None
    """Protected column; None = all rows."""
    group: str | None = None

    def judge(self, champion: Evaluation, candidate: Evaluation) -> Verdict:
        """OK: not worse by the margin. ALARM: that is not shown. INSUFFICIENT: fewer than `min_n` rows."""
        diff = difference(champion, candidate, self._rows(champion))
        low, p = _bound(diff, self.alpha, -self.margin)
        where = self.slice if self.column is None else f"{self.column} = {self.group}"
        if diff.n < self.min_n:
            outcome, said = Outcome.INSUFFICIENT, f"only {diff.n} rows, {self.min_n} are needed"
        elif low > -self.margin:
            outcome, said = Outcome.OK, f"not worse than the margin {self.margin:g}: difference {diff.mean:+.3f}, at least {low:+.3f}"
        else:
            outcome, said = Outcome.ALARM, f"may be worse by more than {self.margin:g}: difference {diff.mean:+.3f}, lower bound {low:+.3f}"
        because = f"{where}: {said} at alpha {self.alpha:g} (n = {diff.n}, {diff.better_n} better, {diff.worse_n} worse)."
        return Verdict(
            detector=self.name,
            subject=f"accuracy[slice={self.slice}]" if self.column is None else f"accuracy[{self.column}={self.group}]",
            outcome=outcome,
            evidence=PValue(p=p, alpha=self.alpha),
            value=diff.mean,
            low=min(low, diff.mean),
            high=1.0,
            n=diff.n,
            because=because,
        )

    def _rows(self, of: Evaluation) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if self.column is None:
            return np.ones(of.n, dtype=bool)
        values = of.groups.get(self.column, np.full(of.n, None, dtype=object))
        return np.asarray(values == self.group, dtype=bool)


def _bound(diff: Difference, alpha: float, null: float) -> tuple[float, float]:
    """(lower bound, p-value of "worse by the margin or more")."""
    if diff.n == 0:
        return -1.0, 1.0
    if not diff.is_few:
        return clustered_low(diff, alpha), clustered_p(diff, null)
    low, p = score_low(diff.better_n, diff.worse_n, diff.n, alpha), score_p(diff.better_n, diff.worse_n, diff.n, null)
    if diff.is_clustered:
        low, p = min(low, clustered_low(diff, alpha)), max(p, clustered_p(diff, null))
    return low, p
