"""The write-ahead spool: durable before acknowledged, whole after a kill, loud about damage."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import resource
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.capture.frames import FILE_HEAD, HEAD_BYTES
from daemon.capture.spool import START, Entry, EntryKind, Mark, Spool
from daemon.capture.tail import Tail
from retrain.types import Permanent, Transient


async def _append(spool: Spool, *payloads: bytes) -> None:
    await asyncio.gather(*(spool.append(EntryKind.RECORDS, payload, 1, 5.0) for payload in payloads))


def append(spool: Spool, *payloads: bytes) -> None:
    asyncio.run(_append(spool, *payloads))


def payloads(spool: Spool, after: Mark = START) -> list[bytes]:
    return [entry.payload for entry in spool.read(after)]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_entries_are_read_back_in_order_with_all_they_were_given(tmp_path: Path) -> None:
    async def write(spool: Spool) -> None:
        await spool.append(EntryKind.RECORDS, b"a\nb", 2, 1.5)
        await spool.append(EntryKind.LABELS, b"c", 1, 2.5)
        await spool.append(EntryKind.RECORDS, b"d\ne\nf", 3, 3.5, b"heads")

    with Spool(tmp_path) as spool:
        asyncio.run(write(spool))
        one, two, three = spool.read()
        assert (*one[:4], one.heads) == (EntryKind.RECORDS, b"a\nb", 2, 1.5, b"")
        assert (*two[:4], two.heads) == (EntryKind.LABELS, b"c", 1, 2.5, b"")
        assert (*three[:4], three.heads) == (EntryKind.RECORDS, b"d\ne\nf", 3, 3.5, b"heads")
        assert START < one.mark < two.mark < three.mark == spool.durable
        assert (spool.n_entries, spool.n_appended) == (3, 6)


def test_a_mark_goes_on_exactly_behind_its_entry_also_after_a_restart(tmp_path: Path) -> None:
    sent = [bytes([65 + i]) * 500 for i in range(20)]
    with Spool(tmp_path, segment_bytes=1500) as spool:
        for payload in sent:
            append(spool, payload)
        marks = [entry.mark for entry in spool.read()]
    assert len(segments(tmp_path)) > 3
    with Spool(tmp_path, segment_bytes=1500) as spool:
        assert [payloads(spool, mark) for mark in marks] == [sent[i + 1 :] for i in range(20)]
        assert spool.lag_bytes(marks[-1]) == 0
        assert spool.lag_bytes(marks[-2]) == 500 + HEAD_BYTES


def test_waiting_requests_share_one_sync(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        append(spool, *[b"x" * 100] * 200)
        assert spool.n_entries == 200
        assert spool.n_syncs <= 3
        assert len(payloads(spool)) == 200


def test_release_deletes_whole_segments_before_the_mark_and_never_the_newest(tmp_path: Path) -> None:
    with Spool(tmp_path, segment_bytes=1000) as spool:
        for i in range(10):
            append(spool, bytes([i]) * 600)
        entries = list(spool.read())
        middle = entries[4].mark
        before = spool.backlog_bytes
        spool.release(middle)
        assert payloads(spool, middle) == [entry.payload for entry in entries[5:]]
        assert spool.backlog_bytes < before
        spool.release(spool.durable)
        assert len(segments(tmp_path)) == 1
        newest = spool.durable
    with Spool(tmp_path, segment_bytes=1000, consumed=newest) as spool:
        append(spool, b"next")
        assert payloads(spool, newest) == [b"next"]


def test_a_folder_emptied_by_hand_still_numbers_behind_the_ledgers_mark(tmp_path: Path) -> None:
    with capture_logs() as logs, Spool(tmp_path, consumed=Mark(7, 500)) as spool:
        append(spool, b"new")
        assert payloads(spool, Mark(7, 500)) == [b"new"]
    assert [entry["event"] for entry in logs] == ["spool.shorter_than_its_mark", "spool.segment_missing"]


def test_a_torn_tail_is_cut_off_wherever_it_was_torn(tmp_path: Path) -> None:
    with Spool(tmp_path / "whole") as spool:
        append(spool, b"first")
        append(spool, b"second")
        first_end = next(spool.read()).mark.offset
    data = segments(tmp_path / "whole")[0].read_bytes()
    for end in range(first_end, len(data)):
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / "0000000001.spool").write_bytes(data[:end])
        with Spool(folder) as spool:
            assert payloads(spool) == [b"first"]
            append(spool, b"third")
            assert payloads(spool) == [b"first", b"third"]
            assert spool.damaged_bytes == 0


@pytest.mark.parametrize("size", [0, 3, len(FILE_HEAD) - 1])
def test_a_segment_killed_while_it_was_made_is_no_obstacle(tmp_path: Path, size: int) -> None:
    with Spool(tmp_path) as spool:
        append(spool, b"first")
    (tmp_path / "0000000002.spool").write_bytes(FILE_HEAD[:size])
    with Spool(tmp_path) as spool:
        append(spool, b"second")
        assert payloads(spool) == [b"first", b"second"]


@pytest.mark.parametrize("is_newest", [True, False])
def test_damage_in_the_middle_is_told_loudly_and_costs_only_its_own_entry(tmp_path: Path, is_newest: bool) -> None:
    with Spool(tmp_path) as spool:
        for payload in (b"first", b"second", b"third"):
            append(spool, payload)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"second")] ^= 1
    path.write_bytes(data)
    if not is_newest:
        (tmp_path / "0000000002.spool").write_bytes(FILE_HEAD)
    with capture_logs() as logs, Spool(tmp_path) as spool:
        assert payloads(spool) == [b"first", b"third"]
        assert payloads(spool) == [b"first", b"third"]
        assert spool.damaged_bytes == HEAD_BYTES + len(b"second")
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("spool.damaged", "error")]


def test_a_file_of_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0000000001.spool").write_bytes(b"somebody else's file, not ours")
    with pytest.raises(Permanent, match="move it away"):
        Spool(tmp_path)
    assert segments(tmp_path)[0].read_bytes() == b"somebody else's file, not ours"


def test_a_segment_of_the_version_before_is_read_and_never_written(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        append(spool, b"old")
    (segment,) = segments(tmp_path)
    before = segment.read_bytes().replace(FILE_HEAD, b"retuned spool 1\n")
    segment.write_bytes(before)
    with Spool(tmp_path) as spool:
        append(spool, b"new")
        assert payloads(spool) == [b"old", b"new"]
    assert segment.read_bytes() == before  # whoever wrote it, started again, still reads it
    with Spool(tmp_path) as spool:
        append(spool, b"newer")
        assert payloads(spool) == [b"old", b"new", b"newer"]
    assert len(segments(tmp_path)) == 2


def test_when_the_disk_is_full_nothing_is_acknowledged_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        append(spool, b"first")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.durable.offset + 100, hard))  # the kernel writes a part, then refuses
        try:
            with pytest.raises(Transient) as caught:
                append(spool, b"x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.retry_after_s == 5.0
        assert spool.n_failures == 1
        assert payloads(spool) == [b"first"]
        append(spool, b"second")
        assert payloads(spool) == [b"first", b"second"]
    with Spool(tmp_path) as spool:
        assert payloads(spool) == [b"first", b"second"]
        assert spool.damaged_bytes == 0


def test_a_failed_sync_is_never_believed_by_trying_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Spool(tmp_path) as spool:
        append(spool, b"first")
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(Transient):
            append(spool, b"lost")
        monkeypatch.undo()
        append(spool, b"second")
        assert payloads(spool) == [b"first", b"second"]
    assert len(segments(tmp_path)) == 2


def test_a_full_backlog_refuses_until_the_reader_has_caught_up(tmp_path: Path) -> None:
    with Spool(tmp_path, segment_bytes=1000, max_backlog_bytes=3000) as spool:
        for _ in range(2):
            append(spool, b"x" * 1200)
        with pytest.raises(Transient, match="wait to be read"):
            append(spool, b"x" * 1200)
        spool.release(spool.durable)
        append(spool, b"x" * 1200)


def test_a_reader_that_keeps_up_needs_no_file(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        append(spool, b"first")
        mark = spool.durable
        append(spool, b"second", b"third")
        segments(tmp_path)[0].write_bytes(b"")
        assert payloads(spool, mark) == [b"second", b"third"]
        assert payloads(spool, mark) == [b"second", b"third"]


@pytest.mark.parametrize("kept_bytes", [0, 700, 2000, 10**6])
def test_what_is_read_is_the_same_from_memory_from_the_file_or_partly_from_each(tmp_path: Path, kept_bytes: int) -> None:
    rng = random.Random(kept_bytes)
    sent: list[bytes] = []
    marks = [START]
    with Spool(tmp_path, segment_bytes=1500) as spool:
        spool._tail = Tail(kept_bytes)
        for _ in range(120):
            new = [rng.randbytes(rng.randint(1, 400)) for _ in range(rng.randint(0, 4))]
            append(spool, *new)
            sent += new
            at = rng.choice([len(marks) - 1, len(marks) - 1, rng.randrange(len(marks))])  # mostly goes on, sometimes reads again
            found = list(spool.read(marks[at]))[: rng.randint(1, 12)]
            assert [entry.payload for entry in found] == sent[at : at + len(found)]
            assert len(found) > 0 or at == len(sent)
            marks[at + 1 :] = [entry.mark for entry in found] if at + len(found) >= len(marks) - 1 else marks[at + 1 :]
        entries = list(spool.read())
        assert [entry.payload for entry in entries] == sent
    with Spool(tmp_path, segment_bytes=1500) as spool:
        assert list(spool.read()) == entries


def test_a_reader_in_another_thread_sees_each_entry_once_in_order_while_they_come(tmp_path: Path) -> None:
    seen: list[Entry] = []
    n = 3000
    deadline = time.monotonic() + 30

    def follow(spool: Spool) -> None:
        mark = START
        while len(seen) < n and time.monotonic() < deadline:
            for entry in spool.read(mark):
                assert entry.mark <= spool.durable
                seen.append(entry)
                mark = entry.mark
            spool.release(mark)

    async def write(spool: Spool) -> None:
        async def client(k: int) -> None:
            for i in range(n // 30):
                await spool.append(EntryKind.RECORDS, b"%d.%d" % (k, i), 1, 0.0)

        await asyncio.gather(*map(client, range(30)))

    with Spool(tmp_path, segment_bytes=4096) as spool:
        reader = threading.Thread(target=follow, args=(spool,))
        reader.start()
        asyncio.run(write(spool))
        reader.join()
    assert sorted(e.payload for e in seen) == sorted(b"%d.%d" % (k, i) for k in range(30) for i in range(n // 30))
    assert [e.mark for e in seen] == sorted({e.mark for e in seen})
