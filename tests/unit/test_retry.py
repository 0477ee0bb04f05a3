from __future__ import annotations

from daemon.decide.retry import again
from retrain.types import Reason


def waits(reason: Reason) -> list[float]:
    found: list[float] = []
    while (wait_s := again(reason, len(found) + 1)) is not None:
        found.append(wait_s)
    return found


def test_every_cause_is_tried_again_more_slowly_and_not_for_ever() -> None:
    for reason in Reason:
        tried = waits(reason)
        assert 1 <= len(tried) < 20
        assert tried == sorted(tried)
        assert max(tried) <= 1800.0


def test_more_attempts_where_they_help() -> None:
    assert len(waits(Reason.OUT_OF_MEMORY)) == 1
    assert len(waits(Reason.CRASHED)) == 3
    assert len(waits(Reason.PREEMPTED)) > 10
    assert waits(Reason.QUOTA)[0] > 60.0 > waits(Reason.PREEMPTED)[0]
