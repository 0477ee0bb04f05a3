"""Partial pooling: a small group's rate drawn towards the rate of all groups, the more the fewer pairs it has and the more alike they are.

p_g ~ Beta(m s, (1 - m) s), hits_g ~ Binomial(n_g, p_g); m is the rate of all, s is found by the moments of the rates (empirical Bayes,
a simple form of the hierarchical models of Ji, Smyth & Steyvers, NeurIPS 2020). Shown beside the raw rate; nothing is judged by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.sketches.confusion import Tally

_STRONGEST = 1e6


def shrunk(fractions: Sequence[tuple[Tally, Tally]]) -> list[float]:
    """(hits, of) of each group, each with pairs -> the mean of its rate given all groups. Weights count by Kish's effective number."""
    if not fractions:
        return []
    n = np.array([of.w * of.w / of.w2 for _, of in fractions])  # (groups,)
    rate = np.array([hits.w / of.w for hits, of in fractions])  # (groups,)
    mean = float(n @ rate / n.sum())
    noise = mean * (1.0 - mean)
    if len(n) < 2 or noise <= 0.0:  # noqa: PLR2004 (one group has nothing to be drawn to)
        return [float(x) for x in rate]
    # E[sum n (rate - mean)^2] = noise (groups - 1) + between * (sum n - sum n^2 / sum n), but for terms of order between / n
    between = (float(n @ (rate - mean) ** 2) - noise * (len(n) - 1)) / float(n.sum() - n @ n / n.sum())
    strength = min(_STRONGEST, noise / between - 1.0) if between > 0.0 else _STRONGEST  # s: pairs that the prior is worth
    return [float(x) for x in (n * rate + max(strength, 0.0) * mean) / (n + max(strength, 0.0))]
