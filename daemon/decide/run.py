"""A run, state by state: which states there are, which may follow which, and what must be true to enter one. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """Where a run is. A state is entered in one ledger transaction; what it does outside is repeated safely."""

    PLANNED = "planned"
    COLLECTING = "collecting"
    DATASET = "dataset"
    TRAINING = "training"
    EVALUATING = "evaluating"
    GATED = "gated"
    REGISTERED = "registered"
    AWAITING_APPROVAL = "awaiting_approval"
    PROMOTED = "promoted"
    WATCHING = "watching"
    KEPT = "kept"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = State
_EDGES: dict[State, frozenset[State]] = {
    _S.PLANNED: frozenset({_S.COLLECTING, _S.FAILED, _S.CANCELLED}),
    _S.COLLECTING: frozenset({_S.DATASET, _S.INCONCLUSIVE, _S.FAILED, _S.CANCELLED}),
    _S.DATASET: frozenset({_S.TRAINING, _S.INVALID, _S.INCONCLUSIVE, _S.FAILED, _S.CANCELLED}),
    _S.TRAINING: frozenset({_S.EVALUATING, _S.INVALID, _S.FAILED, _S.CANCELLED}),
    _S.EVALUATING: frozenset({_S.GATED, _S.INVALID, _S.FAILED, _S.CANCELLED}),
    _S.GATED: frozenset({_S.REGISTERED, _S.REJECTED, _S.AWAITING_APPROVAL, _S.INVALID, _S.FAILED, _S.CANCELLED}),
    _S.REGISTERED: frozenset({_S.AWAITING_APPROVAL, _S.PROMOTED, _S.FAILED, _S.CANCELLED}),
    _S.AWAITING_APPROVAL: frozenset({_S.REGISTERED, _S.PROMOTED, _S.FAILED, _S.CANCELLED}),
    _S.PROMOTED: frozenset({_S.WATCHING, _S.ROLLED_BACK}),
    _S.WATCHING: frozenset({_S.KEPT, _S.ROLLED_BACK}),
    _S.KEPT: frozenset(),
    _S.ROLLED_BACK: frozenset(),
    _S.REJECTED: frozenset(),
    _S.INCONCLUSIVE: frozenset(),
    _S.INVALID: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}

ENDED = frozenset(state for state, following in _EDGES.items() if not following)
"""States that nothing follows."""

WAITING = frozenset({_S.REGISTERED, _S.AWAITING_APPROVAL})
"""States in which a registered version may wait for a person: it is the challenger."""

WITHOUT_JOB = frozenset({_S.PLANNED, _S.COLLECTING, _S.AWAITING_APPROVAL})
"""States in which nothing of the run is at work outside: a person may cancel it there."""

UNCHANGED_WORLD = frozenset({_S.REJECTED, _S.INCONCLUSIVE, _S.INVALID, _S.FAILED})
"""Ends after which the same incident starts no other run by itself: told, not repeated until it passes."""

_UNSOUND = frozenset({Reason.LEAK, Reason.WRONG_BASE, Reason.BAD_PLAN})
"""What makes a comparison void: trying again would not mend it."""


def allowed(state: State) -> frozenset[State]:
    """Which states may follow."""
    return _EDGES[state]


def is_ended(state: State | str) -> bool:
    """True when nothing follows."""
    return State(state) in ENDED


def end_of(state: State, reason: Reason) -> State:
    """Which end a failure before the promotion leads to."""
    if reason is Reason.NOT_ENOUGH_LABELS and state is State.DATASET:
        return State.INCONCLUSIVE
    return State.INVALID if reason in _UNSOUND and State.INVALID in allowed(state) else State.FAILED


def judged(record: Mapping[str, Any] | None) -> State:
    """Where a gate record leads from `gated`: registered, rejected or awaiting_approval."""
    if record is None or not record.get("gates"):
        return State.INVALID
    if record["passed"]:
        return State.REGISTERED
    return State.AWAITING_APPROVAL if record["inconclusive"] else State.REJECTED


def may_promote(record: Mapping[str, Any] | None, approved_by: str | None) -> bool:
    """The one rule of promotion: a passing gate record, or a named person's approval of an inconclusive one; never a rejected one."""
    verdict = judged(record)
    return verdict is State.REGISTERED or (verdict is State.AWAITING_APPROVAL and bool(approved_by and approved_by.strip()))


def check(before: State, after: State, record: Mapping[str, Any] | None, approved_by: str | None) -> None:
    """`Permanent(REFUSED)` when the edge is not in the table or when a promotion has no right to be."""
    if after not in allowed(before):
        raise Permanent(Reason.REFUSED, f"a run does not go from {before} to {after}")
    if after in {State.REGISTERED, State.PROMOTED} and not may_promote(record, approved_by):
        raise Permanent(Reason.REFUSED, f"{after} needs a passing gate record, or a named approval of an inconclusive one")
