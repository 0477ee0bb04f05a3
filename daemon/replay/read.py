"""Recorded traffic from files, checked as at the door and put in the order of its `at`, in bounded memory.

A file that fits into one run of lines is sorted in memory; a larger one is cut into sorted runs on disk and merged, whatever its order.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections import Counter
from contextlib import ExitStack
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from daemon.capture.frames import EntryKind
from daemon.capture.wire import decode_labels, decode_records, parse_labels
from daemon.store.spooled import parse_records
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

RUN_N = 50_000
"""Lines sorted at once: about 50 MB of ordinary records."""
RUN_BYTES = 64 << 20
FAN_IN = 64
"""Runs merged at once: open files."""
MAX_LINE_BYTES = 1 << 20

_CHUNK_N = 1000
_HEAD = struct.Struct("<dBHHI")  # at, kind, bytes of model, of version, of line


class Line(NamedTuple):
    """One record or label."""

    at: float
    kind: EntryKind
    model: str
    version: str
    """Of a record; "" for a label."""
    payload: bytes


_in_order: Callable[[Line], tuple[float, int]] = attrgetter("at", "kind")  # a record before a label of the same instant


class Recording:
    """Both files as one stream; `skipped` says afterwards what was not usable, by kind and reason."""

    def __init__(self, records: Path, labels: Path | None, *, models: Collection[str], work: Path) -> None:
        self._files = [(EntryKind.RECORDS, records)] + ([(EntryKind.LABELS, labels)] if labels is not None else [])
        self._models, self._work = models, work
        self.skipped: Counter[tuple[str, str]] = Counter()
        self.first_error = ""
        """The first unusable line, in words, with its file and number."""
        self._n_runs = 0
        self._n_records = 0  # usable ones

    def lines(self) -> Iterator[Line]:
        """All usable lines by `at`; memory: one run, then one line of each run.

        `Permanent(BAD_DATA)` when a file cannot be read or no record is usable: labels alone say nothing.
        """
        runs: list[list[Line] | Path] = []
        for kind, file in self._files:
            runs += self._runs(kind, file)
            if not self._n_records:
                raise Permanent(Reason.BAD_DATA, f"{file}: no usable record: {self._why()}")
        spilled = [run for run in runs if not isinstance(run, list)]
        held = [run for run in runs if isinstance(run, list)]
        while len(spilled) > FAN_IN:
            batch, spilled = spilled[:FAN_IN], spilled[FAN_IN:]
            spilled.append(self._merged(batch))
        yield from _merge(held, spilled)

    def _why(self) -> str:
        """Why no record is usable: how many were refused by which rule, and the first of them in words."""
        refused = {reason: n for (what, reason), n in sorted(self.skipped.items()) if what == "records" and n}
        if not refused:
            return "the file is empty"
        reasons = ", ".join(f"{n} {reason}" for reason, n in refused.items())
        first = f"; the first: {self.first_error}" if self.first_error else ""
        return f"{sum(refused.values())} refused ({reasons}){first}"

    def _merged(self, batch: Sequence[Path]) -> Path:
        merged = self._spill(_merge([], batch))
        for path in batch:
            path.unlink()
        return merged

    def _runs(self, kind: EntryKind, file: Path) -> Iterator[list[Line] | Path]:
        """Sorted runs of a file: on disk, but for the last one."""
        run: list[Line] = []
        size = 0
        for line in self._checked(kind, file):
            run.append(line)
            size += len(line.payload)
            if len(run) >= RUN_N or size >= RUN_BYTES:
                run.sort(key=_in_order)
                yield self._spill(run)
                run, size = [], 0
        run.sort(key=_in_order)
        yield run

    def _checked(self, kind: EntryKind, file: Path) -> Iterator[Line]:
        try:
            with file.open("rb") as source:
                number = 0
                for chunk in _chunks(source):
                    yield from self._decoded(kind, chunk, f"{file.name}, line {number + 1} and on")
                    number += len(chunk)
        except OSError as e:
            raise Permanent(Reason.BAD_DATA, f"{file}: {e.strerror}; give a file of records as posted to /v1/records, one a line") from e

    def _decoded(self, kind: EntryKind, chunk: list[bytes], where: str) -> Iterator[Line]:
        """The good lines of a chunk; the rules are the door's own, but for the clock."""
        what = kind.name.lower()
        short = [line for line in chunk if len(line) <= MAX_LINE_BYTES]
        self.skipped[what, "too_large"] += len(chunk) - len(short)
        decode = decode_records if kind is EntryKind.RECORDS else decode_labels
        batch = decode(b"\n".join(short), models=self._models, now=math.inf, future_s=0.0, max_n=_CHUNK_N) if short else None
        if batch is None:
            return
        for error in batch.errors:
            self.skipped[what, str(error.reason)] += 1
            at = where if error.index is None else f"{where} (item {error.index + 1})"
            self.first_error = self.first_error or f"{at}: {error.path} = {error.value}: {error.rule}"
        good = [line for line in bytes(batch.payload).split(b"\n") if line.strip()]
        items: list[Any] = parse_records(batch.payload) if kind is EntryKind.RECORDS else parse_labels(batch.payload)
        self._n_records += len(good) if kind is EntryKind.RECORDS else 0
        for item, line in zip(items, good, strict=True):
            yield Line(item.at.timestamp(), kind, item.model, getattr(item, "version", ""), line)

    def _spill(self, lines: Iterable[Line]) -> Path:
        self._n_runs += 1
        path = self._work / f"run-{self._n_runs}"
        with path.open("wb") as out:
            for line in lines:
                model, version = line.model.encode(), line.version.encode()
                out.write(_HEAD.pack(line.at, line.kind, len(model), len(version), len(line.payload)))
                out.write(model + version + line.payload)
        return path


def _merge(held: Sequence[list[Line]], spilled: Sequence[Path]) -> Iterator[Line]:
    with ExitStack() as files:
        runs: list[Iterable[Line]] = [_unspill(files.enter_context(path.open("rb"))) for path in spilled]
        yield from heapq.merge(*runs, *held, key=_in_order)


def _unspill(source: BinaryIO) -> Iterator[Line]:
    while head := source.read(_HEAD.size):
        at, kind, n_model, n_version, n = _HEAD.unpack(head)
        model, version = source.read(n_model).decode(), source.read(n_version).decode()
        yield Line(at, EntryKind(kind), model, version, source.read(n))


def _chunks(source: BinaryIO) -> Iterator[list[bytes]]:
    """Lines in groups of at most 1,000; blank ones are left out, and of one that is too long only the start is held."""
    chunk: list[bytes] = []
    while line := source.readline(MAX_LINE_BYTES + 1):
        if not line.endswith(b"\n") and len(line) > MAX_LINE_BYTES:
            while (rest := source.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        if line := line.strip(b"\r\n\t "):
            chunk.append(line if len(line) <= MAX_LINE_BYTES else line[: MAX_LINE_BYTES + 1])
        if len(chunk) >= _CHUNK_N:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
