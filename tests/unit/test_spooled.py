"""Records between the spool and their pane: found by what the door said of them as by their lines, whole entries handed on as they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from daemon.capture.wire import decode_records
from daemon.store.parcel import Parcel
from daemon.store.slices import SLICE_N, joined, slices
from daemon.store.spooled import Rows, Spooled, records_of, rows_of


def record(i: int, **changed: Any) -> dict[str, Any]:
    base = {"id": f"r{i} ünï", "model": "m", "version": str(i % 2), "at": f"2026-11-01T00:00:{i % 60:02d}.250001+02:00"}
    return {**base, "inputs": {"x": i, "text": "a\nb"}, "output": {"value": i / 3}, **changed}


def body(items: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in items)


def said(found: Spooled) -> tuple[Any, ...]:
    return found.id, found.model, found.version, found.at, found.row, json.loads(found.line())


def lines_of(rows: Rows) -> list[Any]:
    return [json.loads(line) for lines in rows.lines for line in bytes(lines).split(b"\n")]


@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("n", [2, 999, 2500])
@pytest.mark.parametrize("models_n", [1, 2])
def test_what_the_door_said_of_records_is_what_their_lines_say(n: int, models_n: int, as_array: bool) -> None:
    items = [record(i, model=f"m{i % models_n}", version="1" if models_n == 1 else str(i % 2)) for i in range(n)]
    sent = json.dumps(items).encode() if as_array else body(items)
    batch = decode_records(sent, models={"m0", "m1"}, now=np.inf, future_s=0.0, max_n=10_000)
    assert batch.n == n
    assert batch.heads
    known, read = records_of(batch.payload, batch.heads), records_of(batch.payload)
    assert list(map(said, known)) == list(map(said, read))
    assert [found.line() for found in known] == batch.payload.split(b"\n")


@pytest.mark.parametrize("bad", [{"version": 3}, {"model": "unheard-of"}, {"id": "a\0b"}])
def test_of_a_body_with_a_bad_record_nothing_is_said_beforehand(bad: dict[str, Any]) -> None:
    items = [record(i) for i in range(1500)]
    items[1200] |= bad
    batch = decode_records(body(items), models={"m"}, now=np.inf, future_s=0.0, max_n=10_000)
    assert batch.n == 1499
    assert batch.heads == b""
    assert [found.id for found in records_of(batch.payload)] == [f"r{i} ünï" for i in range(1500) if i != 1200]


def test_whole_entries_are_handed_on_as_they_are_and_of_others_the_lines_that_are_wanted() -> None:
    entries = [[record(i) for i in range(start, start + n)] for start, n in ((0, 1300), (1300, 3), (1303, 1), (1304, 40))]
    records = [found for entry in entries for found in records_of(body(entry))]
    whole = rows_of(records)
    assert whole.ids == [found.id for found in records]
    assert whole.ats == [found.at for found in records]
    assert lines_of(whole) == [item for entry in entries for item in entry]
    assert bytes(whole.lines[0]) == body(entries[0])
    assert len(whole.lines) == 2
    for kept in (records[1:], records[:-1], records[::2], records[5:1302]):
        assert lines_of(rows_of(kept)) == [json.loads(found.line()) for found in kept]


def test_a_record_alone_is_the_same_and_holds_no_other_ones_line() -> None:
    records = records_of(body([record(i) for i in range(100)]))
    alone = records[42].alone()
    assert (*said(alone)[:4], said(alone)[5]) == (*said(records[42])[:4], said(records[42])[5])
    assert alone.lines.data == records[42].line()


@pytest.mark.parametrize("n", [1, SLICE_N - 1, SLICE_N, SLICE_N + 1, 3 * SLICE_N, 3 * SLICE_N + 7])
def test_slices_are_all_lines_in_order_a_thousand_at_a_time(n: int) -> None:
    lines = b"\n".join(str(i).encode() for i in range(n))
    found = list(slices(lines))
    assert b"\n".join(bytes(piece) for piece, _ in found) == lines
    assert [bytes(piece).count(b"\n") + 1 for piece, _ in found] == [size for _, size in found]
    assert [size for _, size in found[:-1]] == [SLICE_N] * (len(found) - 1)
    assert 0 < found[-1][1] <= SLICE_N
    assert b"\n".join(joined((line, 1) for line in lines.split(b"\n"))) == lines


def test_a_parcel_is_taken_out_whole_and_leaves_nothing_behind() -> None:
    there = Parcel()
    try:
        for data in (b"first and longer", b"second", b"", bytes(3 * 2**20)):
            assert Parcel(there.fd).take(there.put(data)) == data
        with pytest.raises(EOFError, match="shorter"):
            there.take(1)
    finally:
        there.close()
