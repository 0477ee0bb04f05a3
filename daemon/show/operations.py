"""What a person can ask of the running service: the port between the HTTP API and whoever carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from daemon.show.views import Snapshot
    from daemon.store.judgements import Judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What an operation did."""

    model: str
    what: str
    """A sentence for the person who asked."""
    run: str | None = None
    """The run concerned."""
    version: str | None = None
    """The version concerned."""
    incident: str | None = None
    """The incident concerned."""


class Operations(Protocol):
    """Carried out by the pipeline; called from worker threads of the HTTP server, so implementations lock for themselves.

    Every method returns after its ledger transaction; `Permanent` (NOT_FOUND, CONFLICT, REFUSED, …) says why it can never be done as
    asked, `Transient` that it may be tried again. `by` is a person's name, `because` that person's reason; both go into the ledger.
    """

    def snapshot(self) -> Snapshot:
        """The newest snapshot, with a fresh `health`; it shows every operation that has returned. Cheap, never waits for a tick."""
        ...

    def retrain(self, model: str, *, by: str, because: str) -> Done:
        """Plan a run now, whatever the triggers say; CONFLICT when one is active, REFUSED when the model has no `retrain` settings."""
        ...

    def approve(self, model: str, *, run: str | None, by: str, because: str) -> Done:
        """Let a run that waits for approval go on (None = the one that waits); REFUSED for a rejected one, always."""
        ...

    def cancel(self, model: str, *, run: str | None, by: str, because: str) -> Done:
        """End a run that is planned, collects or waits for approval (None = the active one); CONFLICT in every other state."""
        ...

    def promote(self, model: str, *, version: str | None, by: str, because: str) -> Done:
        """Promote a registered version (None = the challenger) whose gates passed or whose run a person has approved."""
        ...

    def rollback(self, model: str, *, version: str | None, by: str, because: str) -> Done:
        """Back to the previous champion (or a formerly kept `version`); bars the present one; CONFLICT when there is none."""
        ...

    def absorb(self, model: str, *, incident: str | None, force: bool, by: str, because: str) -> Done:
        """The records since an incident (None = the open one) opened become the reference, in a new epoch of the same version.

        REFUSED when it does harm, when there are too few records, or (unless `force`) when that is not ruled out, or columns, hours or
        segments would not be watched any more; CONFLICT when it is over or a run is active.
        """
        ...

    def restore(self, model: str, *, epoch: int | None, by: str, because: str) -> Done:
        """Undo the last absorbing (`epoch`: the one that the person saw); CONFLICT when the present reference was not absorbed."""
        ...

    def pause(self, model: str | None, *, by: str, because: str) -> Done:
        """Stop everything automatic of a model (None = all); survives a restart. Repeating it changes nothing."""
        ...

    def resume(self, model: str | None, *, by: str, because: str) -> Done:
        """The inverse of `pause`."""
        ...

    def acknowledge(self, incident: str, *, by: str, because: str) -> Done:
        """Somebody is on it; CONFLICT when it is closed or acknowledged already."""
        ...

    def mute(self, incident: str, *, until: float, by: str, because: str) -> Done:
        """Tell nobody of it until then; CONFLICT when it is closed, REFUSED beyond 30 days."""
        ...

    def judge(self, incident: str, *, judged: Judged, replaces: Judged | None, by: str, because: str) -> Done:
        """Say what it was, and close it; CONFLICT when it was judged otherwise than `replaces` says."""
        ...
