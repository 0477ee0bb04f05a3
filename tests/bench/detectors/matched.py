"""Thresholds at matched run length, and what is found at them. Pure arithmetic on scores of shape (streams, looks)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEVER = np.inf
LOOKS = 100.0
"""Panes between false alarms that every threshold is matched at."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rule does at one threshold."""

    run_length: float
    """Looks watched on quiet streams for each false alarm; inf = none."""
    looser: float
    """The same at the next lower score that there is; nan = there is none."""
    median: float
    """Looks from the change to the first alarm after it, the alarm's own included; inf = more than half miss it."""
    medians: tuple[float, ...]
    """Of 200 draws of the streams, quiet ones too, with the threshold found anew; draw k is of the same streams for every rule."""
    mean: float
    """Mean delay, a missed change counted as the whole horizon."""
    missed: float
    """Share of changes never seen within the horizon."""
    early: float
    """Share of drift streams that alarm before the change: left out of the delays."""
    mtr: float
    """(mean time between false alarms / mean delay of those detected) (1 - missed share)."""

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the median."""
        ordered = np.sort(self.medians)
        return float(ordered[4]), float(ordered[195])


def run_length(null: Floats, threshold: float) -> float:
    """Looks watched for each false alarm, every quiet stream watched up to its first: the censored ones count as exposure."""
    first = first_alarm(null, threshold)
    alarms = int((first < null.shape[1]).sum())
    watched = float(np.minimum(first + 1, null.shape[1]).sum())
    return watched / alarms if alarms else NEVER


def looser_length(null: Floats, threshold: float) -> float:
    """Run length at the highest score of quiet streams below a threshold: how much nearer a coarse rule could not come."""
    peaks = _peaks(null)
    below = peaks[peaks < threshold]
    return run_length(null, below[-1]) if len(below) else float("nan")


def _peaks(null: Floats) -> Floats:
    """Running maxima, sorted: the run length changes at these thresholds alone."""
    peaks = np.unique(np.maximum.accumulate(null, axis=1))
    return peaks[np.isfinite(peaks)]


def threshold_at(null: Floats, looks: float) -> float:
    """The lowest threshold whose run length is at least `looks`; NEVER if none is."""
    peaks = _peaks(null)
    low, high = 0, len(peaks)
    while low < high:
        middle = (low + high) // 2
        if run_length(null, peaks[middle]) >= looks:
            high = middle
        else:
            low = middle + 1
    if low == len(peaks):  # above all that was seen
        return float(np.nextafter(peaks[-1], NEVER)) if len(peaks) else NEVER
    return float(peaks[low])


def first_alarm(scores: Floats, threshold: float) -> NDArray[np.int64]:
    """Look of the first score at or above the threshold; the number of looks where there is none."""
    reached = scores >= threshold
    return np.where(reached.any(axis=1), reached.argmax(axis=1), scores.shape[1])


def delays(drift: Floats, threshold: float, change: int) -> tuple[Floats, float]:
    """(delays in looks of the streams without an early alarm, inf = missed; share of early ones)."""
    first = first_alarm(drift, threshold)
    kept = first[first >= change].astype(np.float64)
    return np.where(kept == drift.shape[1], NEVER, kept - change + 1.0), float((first < change).mean())


def found(null: Floats, drift: Floats, change: int, *, looks: float | None = None, threshold: float | None = None, seed: int = 0) -> Found:
    """At matched run length (`looks`), or at a given threshold."""
    horizon = drift.shape[1] - change
    at = threshold_at(null, looks) if looks is not None else float(threshold or 0.0)
    late, early = delays(drift, at, change)
    seen = late[np.isfinite(late)]
    missed = float(1.0 - len(seen) / len(late)) if len(late) else float("nan")
    length = run_length(null, at)
    return Found(
        run_length=length,
        looser=looser_length(null, at),
        median=_median(late),
        medians=_medians(null, drift, change, looks=looks, threshold=at, seed=seed),
        mean=float(np.minimum(late, horizon).mean()) if len(late) else float("nan"),
        missed=missed,
        early=early,
        mtr=length / float(seen.mean()) * (1.0 - missed) if len(seen) else 0.0,
    )


def _median(late: Floats) -> float:
    """Lower median, so that it is a delay that was seen."""
    return float(np.sort(late)[(len(late) - 1) // 2]) if len(late) else NEVER


def _medians(null: Floats, drift: Floats, change: int, *, looks: float | None, threshold: float, seed: int) -> tuple[float, ...]:
    rng, medians = np.random.default_rng(seed), []
    for _ in range(200):
        again = null[rng.integers(0, len(null), len(null))]
        at = threshold_at(again, looks) if looks is not None else threshold
        late, _ = delays(drift[rng.integers(0, len(drift), len(drift))], at, change)
        medians.append(_median(late))
    return tuple(medians)
