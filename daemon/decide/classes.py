"""Did the classes' shares move, and what the model answers within each? Label shift is the one without the other. Pure.

Within a class the inputs are seen through the model's answer alone (a function of the input): a necessary condition of label shift, as in
black-box shift estimation [Lipton, Wang & Smola 2018, arXiv:1802.03916], not a proof that nothing else within the class moved.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.sequential.interval import lower_share, upper_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.confusion import Confusion
    from detectors.types import Pairs

_ALPHA = 0.01
"""Shared by all intervals of one look."""
SAME_WITHIN = 0.1
"""Answers within a class count as the same when each one's share differs by surely less than this."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """One comparison of labelled pairs, source against now."""

    moved: str | None
    """The class whose share moved most; None = none is shown to have moved."""
    is_stable: bool
    """Within every class the answers are surely the same but for `SAME_WITHIN`."""
    is_changed: bool
    """Within some class an answer's share has surely changed: no pure label shift."""
    because: str


def compare(bound: Pairs, now: Confusion) -> Classes | None:
    """The bound rows against the window's labelled pairs, at one look; None where either is empty or weighted."""
    then = Counter(zip(bound.label.tolist(), bound.predicted.tolist(), strict=True))
    seen = {(c.label, c.predicted): n for c, n in now.cells.items() if not c.column}
    if not then or not seen or now.weights or now.dropped or None in {label for label, _ in then}:
        return None
    labels = sorted({label for label, _ in (*then, *seen)})
    answers = sorted({answer for _, answer in (*then, *seen)})
    delta = _ALPHA / (4 * len(labels) * (len(answers) + 1))
    n_then, n_now = sum(then.values()), sum(seen.values())
    rows_then, rows_now = _rows(then), _rows(seen)
    gaps = {x: _gap(rows_then[x], n_then, rows_now[x], n_now, delta) for x in labels}
    most = max(gaps, key=lambda x: gaps[x][0])
    answered = [_gap(then.get((x, a), 0), rows_then[x], seen.get((x, a), 0), rows_now[x], delta) for x in labels for a in answers]
    near, far = max(least for least, _ in answered), max(most for _, most in answered)
    shares = f"{most} was {rows_then[most] / n_then:.3f} of {n_then} and is {rows_now[most] / n_now:.3f} of {n_now} labelled records"
    within = f"within each class no answer's share differs by more than {far:.3f}"
    moved = most if gaps[most][0] > 0.0 else None
    return Classes(
        moved=moved, is_stable=far < SAME_WITHIN, is_changed=near > 0.0, because=f"{shares}, {within} (one look, {1 - _ALPHA:.0%})"
    )


def _rows(counts: Mapping[tuple[str, str], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (label, _), n in counts.items():
        found[label] += n
    return found


def _gap(k: int, n: int, k_now: int, n_now: int, delta: float) -> tuple[float, float]:
    """Least and most that two shares may differ by; (0, 1) where one has no draws."""
    if not n or not n_now:
        return 0.0, 1.0
    low, high = float(lower_share(k, n, delta)), float(upper_share(k, n, delta))
    low_now, high_now = float(lower_share(k_now, n_now, delta)), float(upper_share(k_now, n_now, delta))
    return max(0.0, low_now - high, low - high_now), max(high_now - low, high - low_now)
