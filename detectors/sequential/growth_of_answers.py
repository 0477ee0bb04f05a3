"""The smallest share of right answers that turn wrong and are seen in so many labels, by bets that depend on each answer's score.

Their growth is averaged over labelled bound rows as they are: what the scores of right and of wrong answers look like is not made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.sequential.growth import is_reached_by, least_seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Bets(NamedTuple):
    """On some of the labels, at each stake."""

    share: float
    """Of all labels that they are on."""
    wrong: Floats
    """Logarithm of each bet when the bound row's answer is wrong, shape (rows, stakes)."""
    right: Floats
    """When it is right."""
    is_wrong: Floats
    """Which rows' answers are, 0 or 1, shape (rows,)."""
    needed: float
    """What the logarithm of one of them has to come to."""


def smallest_turn(found: Sequence[Bets], n: float) -> float:
    """The share in (0, 1]; infinity where not even all is seen. `n`: labels."""

    def is_seen(turned: float) -> bool:
        return any(_is_seen(bets, turned, n * bets.share) for bets in found if len(bets.is_wrong))

    return least_seen(is_seen, 0.0, 1.0)


def _is_seen(bets: Bets, turned: float, n: float) -> bool:
    chance = (bets.is_wrong + (1.0 - bets.is_wrong) * turned)[:, None]  # (rows, 1), that a label says wrong
    mean = (chance * bets.wrong + (1.0 - chance) * bets.right).mean(axis=0)
    squares = (chance * bets.wrong**2 + (1.0 - chance) * bets.right**2).mean(axis=0)
    return is_reached_by(n * mean, n * np.maximum(0.0, squares - mean**2), np.full(len(mean), bets.needed))
