"""The registry's aliases follow the ledger: re-asserted every tick; what somebody else moved is adopted or undone, told and counted.

Truth about who is champion is the ledger's: an alias call has no compare-and-set. A foreign move is told apart from our own undelivered one
by the outbox: while an "aliases" row waits, the registry is simply behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from daemon.decide.run import WAITING, State
from daemon.store import champions, controls, counters, epochs, outbox, runs
from daemon.store.apart import Apart
from daemon.store.by_traffic import is_from_traffic
from daemon.store.champions import Stranger
from daemon.store.ledger import note
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings, Settings
    from daemon.store.champions import Champion
    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message
    from retrain.types import Versions

log = structlog.get_logger()

_BACK_OFF_MOST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One model in ledger and registry."""

    model: ModelSettings
    held: Champion | None
    have: Mapping[str, str]


@dataclass(kw_only=True)
class Aliases:
    """One per service; `reconcile` every tick, `deliver` from the outbox."""

    settings: Settings
    ledger: Ledger
    versions: Versions
    apart: Apart = field(default_factory=Apart)
    differs_since: dict[str, float] = field(default_factory=dict)
    """Model -> since when registry and ledger have differed."""
    _failed: int = 0
    _silent_since: float | None = None
    """Since when the registry has not answered; None = it does."""
    _not_before: float = 0.0
    _refused: dict[str, tuple[Reason, float]] = field(default_factory=dict)
    """Model -> why the registry does not take what the ledger says, and when it is asked again."""

    def reconcile(self, now: float) -> None:
        """Every model once. A registry that does not answer, or does not take a model's alias, is asked again later: nothing else waits."""
        if _is_ahead(self._not_before, now):
            return
        for model in self.settings.models:
            if not self._has_registry(model) or _is_ahead(self._refused.get(model.name, (None, 0.0))[1], now):
                continue
            try:
                with self.apart.of(model.name, "keeping the registry's aliases"):
                    self._one(model, now)
                self._refused.pop(model.name, None)
            except Permanent as e:
                self._refuse(model.name, e, now)
            except Transient as e:
                self._failed += 1
                self._not_before = now + min(_BACK_OFF_MOST_S, 2.0 ** min(self._failed, 10))
                if self._silent_since is None:
                    self._silent_since = now
                    log.warning("registry.unavailable", reason=e.reason.value, because=e.detail[:500])
                    with self.ledger.begin() as tx:
                        note(tx, now, model.name, "registry.unavailable", reason=e.reason.value, detail=e.detail[:500])
                return
        self._failed, self._silent_since = 0, None

    def deliver(self, message: Message, _now: float) -> None:
        """The outbox row of a move: what the ledger says NOW is put, so an old row never undoes a newer move."""
        self._assert(message.model)

    def lag_s(self, now: float) -> dict[str, float]:
        """For how long nothing has said that the registry's champion is the ledger's: it differs, or does not answer. 0 = they agree."""
        return {m.name: max(0.0, now - self._unsure_since(m, now)) for m in self.settings.models}

    def _unsure_since(self, model: ModelSettings, now: float) -> float:
        silent = self._silent_since if self._silent_since is not None and self._has_registry(model) else now
        return min(silent, self.differs_since.get(model.name, now))

    def _has_registry(self, model: ModelSettings) -> bool:
        """Where a model is watched only and no registry is named MLflow is not even loaded."""
        return model.retrain is not None or self.settings.registry.tracking_uri is not None

    def _refuse(self, model: str, e: Permanent, now: float) -> None:
        """Told once: a version that was deleted, a permission that was taken away."""
        before = self._refused.get(model)
        self._refused[model] = (e.reason, now + _BACK_OFF_MOST_S)
        if before is not None and before[0] is e.reason:
            return
        with self.ledger.begin() as tx:
            held = champions.champion(tx, model)
            of, revision = (held.version, held.revision) if held is not None else ("none", 0)
            note(tx, now, model, "registry.refused", reason=e.reason.value, detail=e.detail[:500])
            because = f"the registry does not take the aliases of {model} (champion: {of}): {e.detail[:300]}"
            _tell(tx, model, f"registry-refused:{revision}:{e.reason}", because, now)

    def _one(self, model: ModelSettings, now: float) -> None:
        have = self.versions.aliases(model.name)
        with self.ledger.read() as tx:
            held = champions.champion(tx, model.name)
            behind = bool(outbox.pending(tx, model=model.name, kind="aliases"))
        seen = _Seen(model=model, held=held, have=have)
        theirs = have.get("champion")
        if held is None:
            if theirs is not None:
                self._adopt(seen, theirs, now, because="the registry's champion when watching began")
            return
        if theirs is None and not behind and self._is_from_traffic(held):
            return  # never registered: there is nothing to compare
        if theirs == held.version or behind:
            self._keep_lag(model.name, differs=theirs != held.version, now=now)
            self._assert(model.name, have)
        else:
            self._keep_lag(model.name, differs=True, now=now)
            self._foreign(seen, theirs, now)

    def _is_from_traffic(self, held: Champion) -> bool:
        with self.ledger.read() as tx:
            return is_from_traffic(tx, held)

    def _foreign(self, seen: _Seen, theirs: str | None, now: float) -> None:
        """Somebody moved or deleted the champion alias."""
        held, name = seen.held, seen.model.name
        assert held is not None
        if theirs is None:
            self._deleted(seen, now)
        elif seen.model.retrain is None:
            self._adopt(seen, theirs, now, because="moved by somebody else; the model has no `retrain` settings")
        elif self._was_kept(name, theirs):
            self._adopt(seen, theirs, now, because="moved back by somebody else in the registry: taken as a rollback", pauses=True)
        elif self.versions.find(name, held.version) is None:  # gone back to a version that the registry has no more
            self._gone(seen, now)
        else:
            self._undo(seen, now, Stranger.UNDONE, f"somebody put champion on version {theirs}, which was never champion: undone")

    def _deleted(self, seen: _Seen, now: float) -> None:
        """The alias is gone: put back when its version is still there, else a person is told, once."""
        held, name = seen.held, seen.model.name
        assert held is not None
        if self.versions.find(name, held.version) is not None:
            self._undo(seen, now, Stranger.RESTORED, f"somebody deleted the alias champion: put back on version {held.version}")
        else:
            self._gone(seen, now)

    def _gone(self, seen: _Seen, now: float) -> None:
        """The champion's version was deleted: there is nothing to put an alias on."""
        held, name = seen.held, seen.model.name
        assert held is not None
        because = f"version {held.version}, the champion, was deleted from the registry; retuned rollback {name} goes to {held.previous}"
        with self.ledger.begin() as tx:
            if _tell(tx, name, f"champion-deleted:{held.revision}", because, now):
                note(tx, now, name, "alias.version_deleted", version=held.version)
                counters.add(tx, name, {("aliases", Stranger.VERSION_DELETED.value): 1})

    def _was_kept(self, model: str, version: str) -> bool:
        with self.ledger.read() as tx:
            return epochs.last_epoch(tx, model, version) is not None and not champions.is_barred(tx, model, version)

    def _adopt(self, seen: _Seen, version: str, now: float, *, because: str, pauses: bool = False) -> None:
        name = seen.model.name
        with self.ledger.begin() as tx:
            if champions.champion(tx, name) != seen.held:
                return  # the ledger moved since we looked: the next tick sees both
            new = champions.adopt(tx, name, version, now=now, because=because)
            if pauses:
                controls.pause(tx, name, by="registry", because=because, now=now)
            if seen.held is not None:
                counters.add(tx, name, {("aliases", Stranger.ADOPTED.value): 1})
                _tell(tx, name, f"adopted:{new.epoch}", f"champion is now version {version}: {because}", now)
        self.differs_since.pop(name, None)

    def _undo(self, seen: _Seen, now: float, how: Stranger, because: str) -> None:
        held, name = seen.held, seen.model.name
        assert held is not None
        if name not in self._refused:  # else it was said, and could not be done
            with self.ledger.begin() as tx:  # said before it is done: a crash between the two says it once more
                note(tx, now, name, f"alias.{how}", version=held.version, found=seen.have.get("champion"), because=because)
                counters.add(tx, name, {("aliases", how.value): 1})
                _tell(tx, name, f"alias-{how}:{held.revision}:{int(now)}", because, now)
        self._assert(name, seen.have)
        self.differs_since.pop(name, None)

    def _assert(self, model: str, have: Mapping[str, str] | None = None) -> None:
        """Put the aliases as the ledger says; only those that differ."""
        with self.ledger.read() as tx:
            held = champions.champion(tx, model)
            active = runs.active(tx, model)
        if held is None:
            return
        challenger = active.version if active is not None and State(active.state) in WAITING else None
        want = {"champion": held.version, "previous": held.previous, "challenger": challenger}
        now_there = self.versions.aliases(model) if have is None else have
        settings = self.settings.model(model)
        watched_only = settings is None or settings.retrain is None
        for alias, version in want.items():
            if now_there.get(alias) == version or (watched_only and alias != "champion"):
                continue
            try:
                self.versions.put_alias(model, alias, version)
            except Permanent:
                if alias == "champion":  # the others are a convenience: their version may have been deleted
                    raise

    def _keep_lag(self, model: str, *, differs: bool, now: float) -> None:
        if differs:
            self.differs_since.setdefault(model, now)
        else:
            self.differs_since.pop(model, None)


def _is_ahead(at: float, now: float) -> bool:
    """Whether to wait until then; further ahead than any wait it is of a clock that was set back since."""
    return now < at <= now + _BACK_OFF_MOST_S


def _tell(tx: Connection, model: str, key: str, because: str, now: float) -> bool:
    """To a person, once a key."""
    return outbox.tell(tx, outbox.What.ALIAS, model=model, key=f"{model}:{key}", because=because, now=now)
