"""The join of labels and records by key."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from daemon.store import keys, tables
from daemon.store.asked import groups_of, inputs_of
from daemon.store.closed import Join
from daemon.store.decoded import output_of
from daemon.store.pending import HeldLabel
from daemon.store.ports import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.key_blocks import Place
    from daemon.store.key_runs import KeyRuns
    from daemon.store.record_log import RecordLog
    from daemon.store.spooled import Spooled

Own = tuple[int, int, "Spooled", float]
"""A record of the pane that is being closed: (part, row, record, pi)."""
_COLUMNS = ["version", "at", "output", "inputs", "segments", "pi"]


class StoredLabel:
    """A label that waited in the ledger, in the shape of the wire's."""

    __slots__ = ("at", "id", "label", "model", "probability", "score", "source", "text", "value")

    def __init__(self, model: str, row: Any) -> None:  # noqa: ANN401 (SQLAlchemy's Row)
        self.model, self.id, self.source, self.at = model, row.record_id, row.source, row.at
        self.label, self.value = row.value.get("label"), row.value.get("value")
        self.text, self.score = row.value.get("text"), row.value.get("score")
        self.probability = row.value.get("probability")


def value_of(label: Any) -> dict[str, Any]:  # noqa: ANN401 (either label)
    """What the label says: its one field that is set, and the chance with which it was planned."""
    names = ("label", "value", "text", "score", "probability")
    return {name: x for name in names if (x := getattr(label, name)) is not None}


def waited(tx: Connection, model: str, own: Iterable[bytes]) -> list[HeldLabel]:
    """Labels in the ledger that waited for one of these records."""
    rows = keys.waiting(tx, model, list(own))
    return [HeldLabel(StoredLabel(model, row), bytes(row.key), row.at, row.received_at, Mark(0, 0)) for row in rows]


class Joiner:
    """Joins within one closing pane."""

    def __init__(
        self, tx: Connection, model: ModelSettings, log: RecordLog, runs: KeyRuns, own: Mapping[bytes, Own], *, unsampled: set[bytes]
    ) -> None:
        self._tx, self._model, self._log, self._runs = tx, model, log, runs
        self._own, self._unsampled = own, unsampled
        self._protected, self._paired = model.protected(), model.paired()

    def join(self, labels: Sequence[HeldLabel], *, is_new: bool) -> list[Join]:
        """What becomes of each label, in order."""
        elsewhere = [held.key for held in labels if held.key not in self._own and held.key not in self._unsampled]
        committed = self._runs.recorded(self._tx, self._model.name, elsewhere)
        earlier = self._earlier(committed)
        found = []
        for held in labels:
            if held.key in self._own:
                found.append(self._with_own(held, is_new=is_new))
            elif held.key in earlier:
                found.append(Join(held=held, state="joined", is_new=is_new, **earlier[held.key]))
            elif held.key in self._unsampled or held.key in committed:
                is_gone = committed.get(held.key, (None, None))[0] is not None  # retention was quicker than the sweep of keys
                found.append(Join(held=held, state="expired" if is_gone else "unsampled", is_new=is_new))
            else:
                found.append(Join(held=held, state="waiting", is_new=is_new))
        return found

    def _with_own(self, held: HeldLabel, *, is_new: bool) -> Join:
        part, row, record, pi = self._own[held.key]
        parsed = record.parsed()
        inputs, segments = json.loads(bytes(parsed.inputs)), json.loads(bytes(parsed.segments))
        return Join(
            held=held,
            state="joined",
            is_new=is_new,
            part=part,
            row=row,
            version=record.version,
            at=record.at,
            output=output_of(parsed.output),
            groups=groups_of(self._protected, inputs, segments),
            inputs=inputs_of(self._paired, inputs, segments),
            pi=pi,
        )

    def _earlier(self, committed: Mapping[bytes, Place]) -> dict[bytes, dict[str, Any]]:
        """Key -> what the record log says about a record that was committed before."""
        places: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for key, (pane_id, row) in committed.items():
            if pane_id is not None and row is not None:
                places[pane_id].append((key, row))
        paths = self._paths(list(places))
        found: dict[bytes, dict[str, Any]] = {}
        for pane_id, wanted in places.items():
            if pane_id not in paths:
                continue
            rows = self._log.rows(paths[pane_id], [row for _, row in wanted], _COLUMNS).to_pylist()
            for (key, row), record in zip(wanted, rows, strict=True):
                inputs, segments = json.loads(record.pop("inputs")), json.loads(record.pop("segments"))
                known = {"groups": groups_of(self._protected, inputs, segments), "inputs": inputs_of(self._paired, inputs, segments)}
                output = output_of(record.pop("output") or "{}")
                found[key] = {"pane_id": pane_id, "row": row, "output": output, **known, **record}
        return found

    def _paths(self, ids: list[int]) -> dict[int, str]:
        paths: dict[int, str] = {}
        for i in range(0, len(ids), 500):
            query = select(tables.pane.c.id, tables.pane.c.path).where(tables.pane.c.id.in_(ids[i : i + 500]))
            paths |= {row.id: row.path for row in self._tx.execute(query)}
        return paths
