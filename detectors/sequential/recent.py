"""Sums over the latest records, and since the evidence last rested: what a verdict shows as its magnitude. No part of any evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK_N = 256
"""Records after which the current block becomes the previous one: a quiet figure rests on the latest 256 to 512 (more in a large pane)."""
_REST = 0.25
"""Evidence below a quarter of the way to an alarm (in logs) is rest: the change, if there is one, began later."""


def no_sums(width: int) -> Floats:
    """Previous block, current block, since rest: shape (3, 1 + width); column 0 counts records."""
    return np.zeros((3, 1 + width))


def add_sums(recent: Floats, n: float, sums: Floats, *, log10_e: float, alpha: float) -> Floats:
    """A pane of n records with its sums, shape (width,), and the evidence after it; the argument does not change."""
    moved = recent.copy()
    if recent[1, 0] >= BLOCK_N:
        moved[0], moved[1] = recent[1], 0.0
    moved[1:] += np.concatenate([[n], sums])
    if log10_e <= -_REST * math.log10(alpha):
        moved[2] = 0.0
    return moved


def is_resting(recent: Floats) -> bool:
    """Whether the evidence rested after the newest pane."""
    return bool(recent[2, 0] == 0.0)


def begun(recent: Floats) -> Floats:
    """When a change is told: the latest records are those since the evidence last rested, none from before it."""
    return np.stack([np.zeros_like(recent[2]), recent[2], recent[2]])


def latest_sums(recent: Floats, *, is_alarm: bool) -> Floats:
    """Count and sums of both blocks, (1 + width,); in an alarm those since the evidence last rested: the change undiluted."""
    return np.asarray(recent[2] if is_alarm and recent[2, 0] > 0 else recent[:2].sum(axis=0), dtype=np.float64)


def latest(recent: Floats, *, is_alarm: bool) -> tuple[int, Floats]:
    """(n, sums) of `latest_sums`."""
    both = latest_sums(recent, is_alarm=is_alarm)
    return int(both[0]), both[1:]
