"""Calendar triggers: what is due follows from the cron expression and the ledger, so an outage is caught up once and never twice. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def next_due(cron: str, after: float) -> float | None:
    """First time strictly after `after` (seconds since the epoch) that the cron expression (UTC, five fields) names; None = never again.

    ValueError names an expression that cannot be read.
    """
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 (0.1 s; models without a schedule need none)

    trigger = CronTrigger.from_crontab(cron, timezone=UTC)
    start = datetime.fromtimestamp(after, UTC)
    found = trigger.get_next_fire_time(start, start)
    if found is not None and found.timestamp() <= after:
        found = trigger.get_next_fire_time(found, start)
    return None if found is None else found.timestamp()


def due(cron: str, since: float, now: float) -> float | None:
    """The latest due time in (since, now], or None. `since`: the last due time that was acted on, or when the model was first watched.

    However many times passed during an outage, one run catches up: the caller keeps the returned time as the next `since`.
    """
    found = next_due(cron, since)
    if found is None or found > now:
        return None
    for _ in range(10_000):  # a bound, not a limit anyone meets: every minute for a week
        following = next_due(cron, found)
        if following is None or following > now:
            return found
        found = following
    return now
