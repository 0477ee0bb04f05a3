"""Keeps house: a little at every tick, so that no tick is slow; more when the disk is low.

What may go is `daemon.store.retention`'s matter. Each step asks the ledger anew what is needed, in the transaction that removes.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.store import champions, removal, stored, verdicts
from daemon.store.ledger import note
from daemon.store.needs import needs
from daemon.store.retention import Item, Kind, Limits, Why, removable
from daemon.store.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings, Settings
    from daemon.store.disk import Disk
    from daemon.store.hold import Hold
    from daemon.store.ledger import Ledger

_LOOK_EVERY_S = 600.0
_AGE_EVERY_S = 86_400.0
"""Age is looked at once a day and when the disk is low; the limit of bytes at every look."""
_SET_S = 60.0
"""Between two ticks the two clocks differ by less, unless one was set."""
_BUDGET_S = 0.05
_BUDGET_LOW_S = 1.0
"""Of one tick, and of one tick while the disk is low."""
_STEP_N = 100
_SCAN_N = 500
_DAY_S = 86_400.0


@dataclass
class _Round:
    """One model from a look to its end."""

    model: ModelSettings
    at: float
    """When it began: ages are counted up to then, so that it comes to an end."""
    by_age: bool
    folders: list[Item] | None = None
    """None: nothing was looked at yet."""
    gone: Counter[tuple[Kind, Why]] = field(default_factory=Counter)
    n_bytes: int = 0


class Keeper:
    """One per service, used by the ticking thread. `kept` is what the last look found, less what was removed since: model -> bytes."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        disk: Disk,
        hold: Hold,
        *,
        unsettled_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`unsettled_s`: after the start, and after the clock on the wall was set, nothing goes by age for so long, unless the disk is low.

        A machine that starts with its clock years ahead is put right within minutes; what was removed by then would be gone.
        """
        self._unsettled_s, self._clock = unsettled_s, clock
        self._ahead_s: float | None = None
        self._settled_at = 0.0
        self._settings, self._ledger, self._disk, self._hold = settings, ledger, disk, hold
        self._data_dir = settings.data_dir
        self._sizes = Sizes(settings.data_dir)
        self._rounds: list[_Round] = []
        self._look_at = self._age_at = 0.0
        self._sketched_until: dict[str, float] = {}  # model -> sketches of earlier panes were looked at since the start
        self.kept: dict[str, int] = {}

    def step(self, now: float) -> None:
        """A bounded piece of work; nothing while a backup reads."""
        is_low, is_settled = self._disk.state().is_low, self._is_settled(now)
        if not self._rounds and (is_low or now >= self._look_at):
            by_age = is_low or (is_settled and now >= self._age_at)
            self._rounds = [_Round(model=model, at=now, by_age=by_age) for model in self._settings.models]
            self._look_at, self._age_at = now + _LOOK_EVERY_S, now + _AGE_EVERY_S if by_age else self._age_at
        until = time.monotonic() + (_BUDGET_LOW_S if is_low else _BUDGET_S)
        with self._hold.deleting() as is_free:
            while is_free and self._rounds:
                if self._look(self._rounds[0], until) and not self._remove(self._rounds[0], now):
                    self._end(self._rounds.pop(0), now)
                if time.monotonic() >= until:
                    break

    def _is_settled(self, now: float) -> bool:
        """Whether the clock on the wall has gone on as the monotonic one has for long enough."""
        ahead_s = now - self._clock()
        if self._ahead_s is None or abs(ahead_s - self._ahead_s) > _SET_S:
            if self._ahead_s is not None and ahead_s < self._ahead_s:  # what was due is due by the clock that is right now
                self._look_at, self._age_at, self._rounds = now, min(self._age_at, now), []
            self._ahead_s, self._settled_at = ahead_s, self._clock() + self._unsettled_s
        return self._clock() >= self._settled_at

    def _look(self, of: _Round, until: float) -> bool:
        """What there is, once a round; False: there was no time for all of it."""
        if of.folders is not None:
            return True
        n_bytes = self._sizes.of_model(of.model.name, until=until)
        if n_bytes is None:
            return False
        self.kept[of.model.name] = n_bytes
        with self._ledger.read() as tx:
            going = set(removal.doomed(tx))
            of.folders = [item for item in stored.folders(tx, self._data_dir, of.model.name) if item.name not in going]
        return True

    def _remove(self, of: _Round, now: float) -> bool:
        """One transaction and its files; False when nothing was left to do."""
        name = of.model.name
        sketched_until = self._sketched_until.get(name, 0.0)
        with self._ledger.begin() as tx:
            chosen = self._chosen(tx, of, now)
            gone = removal.remove_rows(tx, name, chosen)
            n_rows = self._remove_rows(tx, of) if of.by_age else 0
            paths = removal.doomed(tx)
        if paths:
            removed = removal.remove_files(self._data_dir, paths)
            with self._ledger.begin() as tx:
                removal.forget(tx, removed)
        of.gone.update((item.kind, why) for item, why in gone)
        n_bytes = sum(item.n_bytes for item, _ in gone)
        of.n_bytes += n_bytes
        self.kept[name] = max(0, self.kept[name] - n_bytes)
        names = {item.name for item, _ in gone}
        of.folders = [item for item in of.folders or () if item.name not in names]
        return bool(chosen) or n_rows > 0 or self._sketched_until.get(name, 0.0) > sketched_until

    def _chosen(self, tx: Connection, of: _Round, now: float) -> list[tuple[Item, Why]]:
        """Panes and folders first, oldest of all first; when none of them has to go, sketches."""
        model, name = of.model, of.model.name
        needed, limits = needs(tx, model, self._data_dir, now), _limits(model, by_age=of.by_age)
        panes = stored.oldest_panes(tx, self._data_dir, name, outside=(*needed.records, *needed.sketches), most_n=_STEP_N)
        items = [*panes, *(of.folders or ())]
        if len(panes) == _STEP_N:  # what is younger than these has to wait for the panes that were not read
            items = [item for item in items if item.at <= panes[-1].at]
        chosen = removable(items, needed, limits, kept_bytes=self.kept[name], now=of.at, most_n=_STEP_N)
        if chosen or not of.by_age:
            return chosen
        before, after = of.at - limits.age_s[Kind.SKETCHES], self._sketched_until.get(name, 0.0)
        sketches, self._sketched_until[name] = stored.oldest_sketches(tx, name, after=after, before=before, most_n=_SCAN_N)
        return removable(sketches, needed, limits, kept_bytes=self.kept[name], now=of.at, most_n=_SCAN_N)

    def _remove_rows(self, tx: Connection, of: _Round) -> int:
        """What is in the ledger and is not its truth: labels without a record, verdicts of earlier epochs."""
        model = of.model
        held = champions.champion(tx, model.name)
        if held is not None:
            verdicts.forget(tx, model.name, before_epoch=held.epoch)
        return removal.remove_unjoined(tx, model.name, before=of.at - model.keep.records_days * _DAY_S)

    def _end(self, of: _Round, now: float) -> None:
        """One event a round that removed something."""
        if not of.gone:
            return
        what = [{"kind": str(kind), "reason": str(why), "n": n} for (kind, why), n in sorted(of.gone.items())]
        with self._ledger.begin() as tx:
            note(tx, now, of.model.name, "retention.removed", what=what, n_bytes=of.n_bytes, kept_bytes=self.kept[of.model.name])


def _limits(model: ModelSettings, *, by_age: bool) -> Limits:
    keep = model.keep
    days = {Kind.RECORDS: keep.records_days, Kind.SKETCHES: keep.sketches_days, Kind.WORK: keep.work_days}
    age_s = {kind: days.get(kind, keep.runs_days) * _DAY_S if by_age else float("inf") for kind in Kind}
    return Limits(age_s=age_s, max_bytes=keep.max_bytes)
