"""Who is champion of a model that nobody registered: the version that answers its traffic (docs/decisions/0004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.store import champions, panes, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.store.champions import Champion
    from daemon.store.ledger import Ledger

FROM_TRAFFIC = "it answers the traffic; no registry names a champion"
"""Why a version was adopted that no registry knows."""
_FOLLOW_N = 20

Seen = dict[str, tuple[float, int]]
"""Version -> (when its first record came, records)."""


def adopt_by_traffic(ledger: Ledger, model: str, seen: Seen, *, follows: bool) -> None:
    """The first version that answers is champion, and where it `follows` its traffic the one that takes over from it.

    `seen`: records that are in no pane yet.
    """
    if not seen:
        return
    with ledger.begin() as tx:
        held = champions.champion(tx, model)
        if held is None:
            version, (first_at, _) = _most(seen)
            champions.adopt(tx, model, version, now=first_at, because=FROM_TRAFFIC)
        elif follows and held.version not in seen and is_from_traffic(tx, held):
            new = _follower(_added(panes.since_version(tx, model, held.version), seen))
            if new is not None:
                champions.adopt(tx, model, new[0], now=new[1], because=FROM_TRAFFIC)


def is_from_traffic(tx: Connection, held: Champion) -> bool:
    """Whether no registry ever named this champion: the traffic did."""
    first = select(tables.epoch.c.because).where(tables.epoch.c.model == held.model, tables.epoch.c.version == held.version)
    return tx.execute(first.where(tables.epoch.c.started_at == held.since)).scalar() == FROM_TRAFFIC


def _follower(since: Seen) -> tuple[str, float] | None:
    """Which version took over, and from when on, by the records since the champion's last one.

    None: too few yet. Beside a canary a quiet minute without a record of the champion is no takeover: at an even split this many in a row
    come once in a million records.
    """
    if sum(n for _, n in since.values()) < _FOLLOW_N:
        return None
    version, (first_at, _) = _most(since)
    return version, first_at


def _most(seen: Seen) -> tuple[str, tuple[float, int]]:
    return max(seen.items(), key=lambda item: item[1][1])


def _added(earlier: Seen, later: Seen) -> Seen:
    found = {version: (first_at, n + later.get(version, (0.0, 0))[1]) for version, (first_at, n) in earlier.items()}
    return {**later, **found}
