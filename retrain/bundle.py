"""Files of a run carried through a store: contents named by their SHA-256, and an index, written last, that says which files they are.

    PREFIX/blobs/SHA256          contents, written once; the same in every index that names them
    PREFIX/KEY/NAME.json         an index: a job's inputs, its outcome, one of its checkpoints

An index is there only when everything that it names is: it is the `.complete` marker. KEY holds the attempt, so a job that was given up and
still runs somewhere (its node is cut off) writes under a name that nobody reads any more: the key is the fencing token.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrain.store import Store

MARKERS = frozenset({"manifest.json", "candidate.json", "reload.json", ".complete"})
"""What a stage writes last is put in place last."""
MOST_FILES = 10_000
_MOST_INDEX_BYTES = 1 << 22
_COPY_BYTES = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    bytes: int
    sha256: str


class Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files, by their path in the run's folder."""

    files: dict[str, Entry]
    code: int | None = None
    """Of an outcome: how the command ended."""


def pack(store: Store, prefix: str, name: str, root: Path, paths: Iterable[Path], *, most_bytes: int, code: int | None = None) -> Index:
    """Carry files of `root` that nobody changes meanwhile; contents that the store has are not sent again."""
    files = {path.relative_to(root).as_posix(): entry(path) for path in sorted(paths)}
    _bounded(files, most_bytes)
    for place, found in files.items():
        blob = f"{prefix}/blobs/{found.sha256}"
        if store.size(blob) != found.bytes:
            with (root / place).open("rb") as source:
                store.put(blob, source)
    index = Index(files=files, code=code)
    store.put(f"{prefix}/{name}.json", io.BytesIO(msgspec.json.format(msgspec.json.encode(index, order="sorted"))))
    return index


def read_index(store: Store, prefix: str, name: str) -> Index | None:
    """An index, None when there is none; `Permanent(BAD_DATA)` when it is none of ours."""
    place = f"{prefix}/{name}.json"
    size = store.size(place)
    if size is None:
        return None
    if size > _MOST_INDEX_BYTES:
        raise Permanent(Reason.BAD_DATA, f"{place} has {size} bytes")
    with store.open(place) as source:
        data = source.read(_MOST_INDEX_BYTES)
    try:
        return msgspec.json.decode(data, type=Index)
    except (msgspec.DecodeError, msgspec.ValidationError) as e:
        raise Permanent(Reason.BAD_DATA, f"{place}: {e}") from e


def unpack(store: Store, prefix: str, index: Index, root: Path, *, most_bytes: int) -> None:
    """Put the index's files in place, each whole and with its digest, markers last; those that are there already stay."""
    _bounded(index.files, most_bytes)
    for place in sorted(index.files, key=lambda p: (PurePosixPath(p).name in MARKERS, p)):
        target, wanted = _inside(root, place), index.files[place]
        if not (target.is_file() and entry(target) == wanted):
            _fetch(store, f"{prefix}/blobs/{wanted.sha256}", target, wanted)


def entry(path: Path) -> Entry:
    """Size and digest of a file."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as data:
        while block := data.read(_COPY_BYTES):
            sha.update(block)
            size += len(block)
    return Entry(bytes=size, sha256=sha.hexdigest())


def _fetch(store: Store, blob: str, target: Path, wanted: Entry) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    sha, left = hashlib.sha256(), wanted.bytes
    with store.open(blob) as source, part.open("wb") as out:
        while left > 0 and (block := source.read(min(_COPY_BYTES, left))):
            sha.update(block)
            left -= len(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if left or sha.hexdigest() != wanted.sha256:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise Transient(Reason.BAD_DATA, f"{blob} does not hold what its name says")
    part.replace(target)


def _bounded(files: dict[str, Entry], most_bytes: int) -> None:
    total = sum(found.bytes for found in files.values())
    if total > most_bytes or len(files) > MOST_FILES:
        raise Permanent(Reason.REFUSED, f"{len(files)} files of {total} bytes; at most {MOST_FILES} of {most_bytes} are carried")


def _inside(root: Path, place: str) -> Path:
    """Where a file goes; an index that points out of the run's folder is refused."""
    parts = PurePosixPath(place)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise Permanent(Reason.BAD_DATA, f"an index names {place!r}, which is no path in a run's folder")
    target = root.joinpath(*parts.parts)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise Permanent(Reason.BAD_DATA, f"an index names {place!r}, which leads out of the run's folder")
    return target
