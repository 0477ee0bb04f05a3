"""The backup's file: a tar of plain files under zstd, the manifest with every size and SHA-256 as its last member.

Read by hand, block by block: a library would follow links, make devices and keep a header of any size in memory. Here only plain files
with names of ours are taken, nothing is written that was not asked for, and without the right manifest nothing is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa

from retrain.types import Permanent, Reason
from retrain.whole import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

FORMAT = 1
MANIFEST = "MANIFEST.json"
FILES = frozenset({"ledger.db", "secrets.json", "settings.yaml"})
FOLDERS = frozenset({"adapters", "mlflow", "records", "references", "reports", "runs", "spool"})
"""What may stand at the top; everything else is refused."""
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 2**20
_MOST_NAME_BYTES = 1024
_MOST_MANIFEST_BYTES = 2**29
_MOST_FILES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of the manifest."""

    size: int
    sha256: str


class Writer:
    """Writes an archive beside its name; `finish` gives it the name. Without it nothing is there."""

    def __init__(self, part: Path) -> None:
        self.files: dict[str, Entry] = {}
        self._part = part
        self._raw = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # it holds secrets
        self._zstd = pa.CompressedOutputStream(pa.PythonFile(self._raw, mode="w"), "zstd")
        self._tar = tarfile.open(mode="w|", fileobj=self._zstd, format=tarfile.GNU_FORMAT)  # noqa: SIM115 (closed by finish or close)

    def add(self, name: str, source: IO[bytes], size: int) -> None:
        """Exactly `size` bytes of `source`; an `OSError` when it has fewer, `Permanent(BAD_DATA)` for a name that `unpack` would refuse."""
        if len(name.encode()) >= _MOST_NAME_BYTES:
            raise _bad(f"the name {name[:200]!r} is too long")
        hashed = _Hashed(source)
        self._tar.addfile(_header(_checked(name), size), hashed)
        self.files[name] = Entry(size=size, sha256=hashed.digest.hexdigest())

    def finish(self, facts: dict[str, Any]) -> None:
        """The manifest, then everything to disk."""
        files = {name: [entry.size, entry.sha256] for name, entry in self.files.items()}
        data = json.dumps({"format": FORMAT, **facts, "files": files}, indent=1).encode()
        self._tar.addfile(_header(MANIFEST, len(data)), io.BytesIO(data))
        self._tar.close()
        self._zstd.close()  # and the file
        sync(self._part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):  # unfinished: whatever stands there goes
            self._tar.close()
            self._zstd.close()
        self._raw.close()


class _Hashed:
    """Hashes what is read through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


@dataclass
class _Stream:
    """Bytes of the unpacked archive, exactly as many as were asked for."""

    source: Any  # pyarrow's stream
    checked: set[str] = field(default_factory=set)

    def exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            try:
                part = self.source.read(min(left, _CHUNK))
            except (OSError, pa.ArrowException) as e:
                raise _bad(f"it cannot be unpacked: {e}") from e
            if not part:
                raise _bad("it ends in the middle: the copy is not complete")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def unpack(archive: Path, into: Path, *, room_bytes: int) -> dict[str, Any]:
    """Write every file below `into` (an empty folder) and return the manifest; `Permanent(BAD_DATA)` says what is wrong with the archive.

    At most `room_bytes` are written. After a failure what was written is to be thrown away.
    """
    written: dict[str, Entry] = {}
    room = room_bytes
    with archive.open("rb") as raw:
        stream = _Stream(_opened(raw))
        for name, size in _members(stream):
            if name == MANIFEST:
                if size > _MOST_MANIFEST_BYTES:
                    raise _bad("its manifest is too large")
                data = stream.exactly(size)
                return _verified(data, written)
            room -= size
            if room < 0:
                raise Permanent(Reason.REFUSED, f"the files in it need more room than there is: {room_bytes} bytes are free")
            if len(written) >= _MOST_FILES:
                raise _bad(f"it holds more than {_MOST_FILES} files")
            written[name] = _write(into / name, size, stream.exactly)
            _skip_padding(stream, size)
    raise _bad("it has no manifest: the copy is not complete")


def _opened(raw: IO[bytes]) -> Any:  # noqa: ANN401 (pyarrow ships no types)
    try:
        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    except (OSError, pa.ArrowException) as e:
        raise _bad(f"it cannot be unpacked: {e}") from e


def _members(stream: _Stream) -> Iterator[tuple[str, int]]:
    """(name, size) of each plain file, its bytes next in the stream. Links, devices, folders and foreign headers are refused."""
    seen: set[str] = set()
    long_name: str | None = None
    while True:
        block = stream.exactly(_BLOCK)
        if not any(block):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as e:
            raise _bad(f"a header is damaged: {e}") from e
        if info.size < 0:
            raise _bad("a header is damaged: a negative size")
        if info.type == tarfile.GNUTYPE_LONGNAME:
            if info.size > _MOST_NAME_BYTES:
                raise _bad("a name is too long")
            long_name = _text(stream.exactly(info.size).rstrip(b"\0"))
            _skip_padding(stream, info.size)
            continue
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise _bad(f"{info.name[:200]!r} is no plain file: a backup holds nothing else")
        name, long_name = long_name or info.name, None
        if name in seen:
            raise _bad(f"{name[:200]!r} stands in it twice")
        seen.add(name)
        yield _checked(name), info.size


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise _bad(f"a name is no UTF-8: {e}") from e


def _checked(name: str) -> str:
    """A name of ours: relative, below a known top, without steps upwards."""
    top, *below = name.split("/")
    is_known = top in FOLDERS if below else name in FILES or name == MANIFEST
    if not is_known or any(part in {"", ".", ".."} for part in below) or not name.isprintable() or "\\" in name:
        raise _bad(f"{name[:200]!r} is no name of a backup's file")
    return name


def _skip_padding(stream: _Stream, size: int) -> None:
    stream.exactly(-size % _BLOCK)


def _write(path: Path, size: int, exactly: Callable[[int], bytes]) -> Entry:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (FileExistsError, NotADirectoryError) as e:
        raise _bad(f"{path.name!r} is a file and a folder at once") from e
    digest, left = hashlib.sha256(), size
    with os.fdopen(fd, "wb") as out:
        while left:
            part = exactly(min(left, _CHUNK))
            digest.update(part)
            out.write(part)
            left -= len(part)
    return Entry(size=size, sha256=digest.hexdigest())


def _verified(data: bytes, written: dict[str, Entry]) -> dict[str, Any]:
    """The manifest, when it says of every file what was found, and of no other."""
    try:
        facts: dict[str, Any] = json.loads(data)
        said = {str(name): Entry(size=int(size), sha256=str(sha256)) for name, (size, sha256) in facts["files"].items()}
        found_format = facts["format"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise _bad(f"its manifest is not readable: {e}") from e
    if found_format != FORMAT:
        raise _bad(f"it is of format {found_format}, this version reads format {FORMAT}")
    wrong = sorted(name for name in said.keys() | written.keys() if said.get(name) != written.get(name))
    if wrong:
        raise _bad(f"{len(wrong)} files are not what the manifest says, {wrong[0]!r} first")
    return facts


def _bad(what: str) -> Permanent:
    return Permanent(Reason.BAD_DATA, f"this is no backup that can be used: {what}")
