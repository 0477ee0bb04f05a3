"""The write-ahead spool: what is acknowledged is on disk before it is acknowledged, and stays until the ledger has it.

Group commit back to back: while one group is written and synced in the spool's thread, the next one gathers. A timer would only add
waiting; one sync a request would cost 40 times as much.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import structlog

from daemon.capture.frames import FILE_HEAD, OLD_HEADS, START, Damage, Entry, EntryKind, Mark, frame_head, frames
from daemon.capture.tail import Group, Tail
from retrain.types import Permanent, Reason, Transient
from retrain.whole import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["START", "Entry", "EntryKind", "Mark", "Spool"]

log = structlog.get_logger()
_GROUP_BYTES = 8 * 2**20
"""Of one group: bounds how long its first request waits for the sync."""
_WAITING_BYTES = 128 * 2**20
"""Of all requests that wait for their sync; above it the service is behind its disk."""


class _Waiting(NamedTuple):
    head: bytes
    """What stands before the entry's lines in the segment."""
    entry: Entry
    """Its mark is not known yet."""
    done: asyncio.Future[None]


class Spool:
    """Appended to by the event loop, read by one other thread. `close` it, or use it as a context manager.

    Args:
        folder: segments `0000000001.spool`, …; made when missing.
        consumed: the ledger's mark: numbering goes on behind it even when the folder was emptied by hand.
        segment_bytes: a segment is followed by the next one from this size on.
        max_backlog_bytes: above it nothing is accepted until the reader has caught up (None: only the disk is the limit).

    """

    def __init__(
        self, folder: Path, *, consumed: Mark = START, segment_bytes: int = 64 * 2**20, max_backlog_bytes: int | None = None
    ) -> None:
        self.folder, self.segment_bytes, self.max_backlog_bytes = folder, segment_bytes, max_backlog_bytes
        self.n_entries = self.n_appended = self.n_syncs = self.n_failures = self.damaged_bytes = 0
        """Requests and lines acknowledged, groups synced and failed since the start; bytes that turned out to be no frame."""
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._is_flushing = self._is_broken = False
        self._thread = ThreadPoolExecutor(1, "spool")
        self._lock = threading.Lock()  # of the three below: the loop's side writes, the reader's side reads and removes
        self._sizes: dict[int, int] = {}
        self._reported: set[tuple[int, int]] = set()
        self._tail = Tail()
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = -1
        self._durable, self._released = START, consumed
        self._open(consumed)

    # -- the event loop's side

    async def append(self, kind: EntryKind, payload: bytes, n: int, received_at: float, heads: bytes = b"") -> None:
        """Return once the entry has been synced to disk. Raises Transient when it could not be: then nothing was acknowledged."""
        await self.begin(kind, payload, n, received_at, heads)

    def begin(self, kind: EntryKind, payload: bytes, n: int, received_at: float, heads: bytes = b"") -> asyncio.Future[None]:
        """`append` as what is to be waited for: done once synced. Raises Transient at once where nothing more can wait."""
        size = len(payload)
        if self._waiting_bytes + size > _WAITING_BYTES:
            raise Transient(Reason.UNAVAILABLE, "more requests wait for the disk than fit into memory", retry_after_s=1.0)
        if self.max_backlog_bytes is not None and self.backlog_bytes + size > self.max_backlog_bytes:
            raise Transient(Reason.UNAVAILABLE, f"the spool is full: {self.backlog_bytes} bytes wait to be read", retry_after_s=5.0)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(
            _Waiting(frame_head(kind, payload, n, received_at, heads), Entry(kind, payload, n, received_at, START, heads), done)
        )
        self._waiting_bytes += size
        if not self._is_flushing:
            self._is_flushing = True
            loop.call_soon(self._flush, loop)  # whatever else arrived in this turn of the loop joins the group
        return done

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        size, count = 0, 0
        for waiting in self._waiting:
            size, count = size + len(waiting.entry.payload), count + 1
            if size >= _GROUP_BYTES:
                break
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size
        written = self._thread.submit(self._write, [(waiting.head, waiting.entry) for waiting in group])
        futures = [waiting.done for waiting in group]
        n = sum(waiting.entry.n for waiting in group)
        written.add_done_callback(lambda result: loop.call_soon_threadsafe(self._written, loop, result, futures, n))

    def _written(self, loop: asyncio.AbstractEventLoop, result: Future[None], futures: list[asyncio.Future[None]], n: int) -> None:
        if self._waiting:
            self._flush(loop)
        else:
            self._is_flushing = False
        error = result.exception()
        if error is None:
            self.n_syncs, self.n_entries, self.n_appended = self.n_syncs + 1, self.n_entries + len(futures), self.n_appended + n
        for done in futures:
            if done.done():  # its request went away
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    # -- the spool's own thread

    def _write(self, group: list[tuple[bytes, Entry]]) -> None:
        """Write and sync one group of frame heads and entries, all or nothing."""
        try:
            if self._is_broken or self._durable.offset >= self.segment_bytes:
                self._next_segment()
            start = self._durable
            data = memoryview(b"".join([part for head, entry in group for part in (head, entry.payload)]))
            end = Mark(start.segment, start.offset + len(data))
            while data:
                data = data[os.write(self._fd, data) :]
            os.fdatasync(self._fd)
        except OSError as error:
            self.n_failures += 1
            self._take_back()
            raise Transient(Reason.UNAVAILABLE, f"the spool cannot be written: {error.strerror}", retry_after_s=5.0) from error
        with self._lock:
            self._durable = end
            self._sizes[end.segment] = end.offset
            self._tail.put(Group(start, end, group))

    def _take_back(self) -> None:
        """After a failed write: what was not acknowledged goes; a segment that cannot be trusted gets a successor."""
        self._is_broken = True  # after a failed sync the kernel may have dropped the pages: never sync them again and believe it
        try:
            os.ftruncate(self._fd, self._durable.offset)
        except OSError:
            log.exception("spool.take_back_failed", segment=self._durable.segment, offset=self._durable.offset)

    def _next_segment(self) -> None:
        segment = self._durable.segment + 1
        fd = os.open(self._path(segment), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            if os.write(fd, FILE_HEAD) < len(FILE_HEAD):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 (as the next write would)
            os.fsync(fd)
            sync(self.folder)
        except OSError:
            os.close(fd)
            self._path(segment).unlink(missing_ok=True)
            raise
        old, self._fd, self._is_broken = self._fd, fd, False
        with self._lock:
            self._durable = Mark(segment, len(FILE_HEAD))
            self._sizes[segment] = len(FILE_HEAD)
        if old >= 0:
            os.close(old)

    # -- the reader's side

    def read(self, after: Mark = START) -> Iterator[Entry]:
        """Durable entries behind a mark, oldest first, up to what was durable when it began. From any one thread, any time.

        A mark says that what is before it has been read: of that no more is kept in memory.
        """
        with self._lock:
            sizes = dict(sorted(self._sizes.items()))
            newest = self._tail.since(after)
            until = newest[0].start if newest else self._durable
        if after.segment > 0 and after.segment not in sizes and min(sizes) > after.segment:
            self._report(after.segment, Damage(after.offset, after.offset), "spool.segment_missing")
        for segment, size in sizes.items():
            if segment < after.segment or segment > until.segment:
                continue
            start = max(len(FILE_HEAD), after.offset) if segment == after.segment else len(FILE_HEAD)
            end = until.offset if segment == until.segment else size
            if start < end:
                yield from self._read_segment(segment, start, end)
        for group in newest:
            yield from group.entries(after)

    def _read_segment(self, segment: int, start: int, size: int) -> Iterator[Entry]:
        with self._path(segment).open("rb", buffering=2**23) as file:
            for item in frames(file, segment, start, size):
                if isinstance(item, Damage):
                    self._report(segment, item)
                else:
                    yield item

    def release(self, before: Mark) -> None:
        """Delete the segments that lie wholly before a mark; the newest one always stays."""
        self._released = before
        with self._lock:
            gone = [segment for segment in self._sizes if segment < min(before.segment, self._durable.segment)]
            for segment in gone:
                del self._sizes[segment]
        for segment in gone:
            self._path(segment).unlink(missing_ok=True)

    @property
    def durable(self) -> Mark:
        """Everything before it has been synced."""
        return self._durable

    @property
    def backlog_bytes(self) -> int:
        """Bytes on disk: what the reader has not released yet, whole segments only."""
        with self._lock:
            return sum(self._sizes.values())

    def unread_bytes(self) -> int:
        """Durable bytes that the reader has not released yet."""
        return self.lag_bytes(self._released)

    def lag_bytes(self, after: Mark) -> int:
        """Durable bytes behind a mark: what the reader has still to read."""
        with self._lock:
            behind = sum(size for segment, size in self._sizes.items() if segment > after.segment)
            return behind + max(0, self._sizes.get(after.segment, 0) - after.offset)

    # -- opening and closing

    def _open(self, consumed: Mark) -> None:
        """Find the segments, cut off a torn tail, make sure that what is left is on disk."""
        is_old = False
        for path in sorted(self.folder.glob("*.spool")):
            size = path.stat().st_size
            if size < len(FILE_HEAD):  # killed while it was made: nothing in it
                path.unlink()
                continue
            with path.open("rb") as file:
                head = file.read(len(FILE_HEAD))
                is_old = head in OLD_HEADS
                if head != FILE_HEAD and not is_old:
                    raise Permanent(Reason.BAD_DATA, f"{path} is no segment of this version's spool: move it away")
            self._sizes[int(path.stem)] = size
        newest = max(self._sizes, default=0)
        if newest:
            self._resume(newest)
        if newest == 0 or self._durable < consumed:  # new entries must come behind the mark, or they are never read
            if consumed > START:
                log.error("spool.shorter_than_its_mark", newest=newest, consumed=tuple(consumed))
            self._durable = Mark(max(newest, consumed.segment), 0)
            self._next_segment()
        elif is_old:  # whoever wrote it could not read what comes now
            self._next_segment()

    def _resume(self, newest: int) -> None:
        self._fd = os.open(self._path(newest), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        end = self._whole_end(newest, self._sizes[newest])
        if end < self._sizes[newest]:
            log.warning("spool.torn_tail", segment=newest, offset=end, torn_bytes=self._sizes[newest] - end)
            os.ftruncate(self._fd, end)
        os.fsync(self._fd)  # after a kill the pages may still be in memory only
        sync(self.folder)
        self._sizes[newest] = end
        self._durable = Mark(newest, end)

    def _whole_end(self, segment: int, size: int) -> int:
        """The end of a segment's last good frame. A kill tears only what was not acknowledged, and only at the end."""
        end = len(FILE_HEAD)
        with self._path(segment).open("rb", buffering=2**20) as file:
            for item in frames(file, segment, end, size):
                if isinstance(item, Entry):
                    end = item.mark.offset
                elif item.end < size:
                    self._report(segment, item)
        return end

    def _report(self, segment: int, damage: Damage, event: str = "spool.damaged") -> None:
        """Loudly, once."""
        if (segment, damage.start) not in self._reported:
            self._reported.add((segment, damage.start))
            self.damaged_bytes += damage.end - damage.start
            log.error(event, segment=segment, start=damage.start, end=damage.end)

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:010d}.spool"

    def close(self) -> None:
        """Finish the group that is being written and close the files."""
        self._thread.shutdown(wait=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
