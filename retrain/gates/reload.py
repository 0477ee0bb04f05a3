"""Gate: the adapter, loaded back from disk, gives the scores that it gave when training ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from detectors.types import Outcome, Score, Verdict


@dataclass(frozen=True, kw_only=True)
class Reload:
    """Passes when no score (0-1) moved by more than `limit` on any of at least one row. No error rate: nothing random is involved."""

    name: ClassVar[str] = "reload"
    limit: float = 1e-3

    def judge(self, max_difference: float | None, n: int) -> Verdict:
        """`max_difference` over `n` scored rows; None or NaN = it could not be compared, which asks a person."""
        if max_difference is None or not math.isfinite(max_difference) or n < 1:
            outcome, value, said = Outcome.INSUFFICIENT, 1.0, "the adapter was not compared with itself after loading"
        elif abs(max_difference) <= self.limit:
            outcome, value, said = (
                Outcome.OK,
                abs(max_difference),
                f"loads back with the same scores (largest difference {max_difference:.2g})",
            )
        else:
            outcome, value = Outcome.ALARM, min(1.0, abs(max_difference))
            said = f"loads back with other scores: largest difference {max_difference:.3g}, allowed {self.limit:g}"
        return Verdict(
            detector=self.name,
            subject="adapter",
            outcome=outcome,
            evidence=Score(distance=value, limit=self.limit),
            value=value,
            low=0.0 if outcome is Outcome.INSUFFICIENT else value,
            high=value,
            n=max(0, n),
            because=f"{said} (n = {n}).",
        )
