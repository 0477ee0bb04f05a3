"""How often a failed stage of a run is tried again, and after how long: by cause, since trying again helps some causes only."""

from __future__ import annotations

from retrain.types import Reason

_MOST = {
    Reason.OUT_OF_MEMORY: 2,  # as much memory again: once more from the checkpoint, no oftener
    Reason.PREEMPTED: 20,  # nobody's fault, and each attempt goes on from a checkpoint
    Reason.NO_SPACE: 6,
    Reason.QUOTA: 6,
    Reason.UNSCHEDULABLE: 6,
    Reason.IMAGE: 3,
}
"""Attempts, the first included."""
MOST_ATTEMPTS = 4
"""Of every other cause."""
_WAIT_S = 5.0
_SCARCE = frozenset({Reason.NO_SPACE, Reason.QUOTA, Reason.UNSCHEDULABLE, Reason.IMAGE})
_SCARCE_WAIT_S = 300.0
"""What a person or the cluster has to provide does not come within seconds."""
_MOST_WAIT_S = 1800.0


def again(reason: Reason, failures: int) -> float | None:
    """Seconds until the next attempt after the `failures`-th failure of this cause (doubling); None = no more."""
    if failures >= _MOST.get(reason, MOST_ATTEMPTS):
        return None
    return min(_MOST_WAIT_S, (_SCARCE_WAIT_S if reason in _SCARCE else _WAIT_S) * 2.0 ** (failures - 1))
