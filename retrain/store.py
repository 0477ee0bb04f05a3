"""A place that the service and a job on another machine both reach: a folder on a shared volume, or S3. Objects are whole or not there.

Names are paths with slashes. Nothing here relies on locks or on renames being seen in order by other machines: objects are written once
under a name of their own (`retrain.bundle` names contents by their digest), so two writers cannot tear each other's work.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPY_BYTES = 1 << 20
_CONNECT_S, _REQUEST_S = 10.0, 60.0
_TRIES = 3
_REFUSALS = ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "INVALID_CLIENT_TOKEN", "SIGNATURE_DOES_NOT_MATCH", "NO_SUCH_BUCKET", "HTTP status 403")


class Store(Protocol):
    """Every method may raise `Transient(UNAVAILABLE)` and `Permanent` (`NOT_FOUND`, `REFUSED`)."""

    def put(self, name: str, source: BinaryIO) -> None:
        """Write an object, replacing one of that name; a reader finds the old one or the new one, never a part."""
        ...

    def open(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Read an object from its start."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of an object, None when there is none."""
        ...

    def names(self, folder: str) -> list[str]:
        """Every object below a folder, sorted; none when there is no such folder."""
        ...

    def clear(self, folder: str) -> None:
        """Every object below a folder goes; that there is none is fine."""
        ...


def open_store(where: str, *, endpoint: str | None = None, region: str | None = None) -> Store:
    """`where`: s3://BUCKET[/PREFIX], or a folder. Nothing is reached before the first call."""
    return S3Store(where, endpoint=endpoint, region=region) if where.startswith("s3://") else FolderStore(Path(where))


class FolderStore:
    """A folder, usually on a volume that several machines mount."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, source: BinaryIO) -> None:
        """See `Store.put`: written beside under a name that nobody else uses, flushed, renamed."""
        target = self._root / name
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        if not self._root.is_dir():  # made here it would be a folder that nobody shares
            raise Transient(Reason.UNAVAILABLE, f"store: {self._root} is not there: is the claim mounted?")
        with _calls(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("xb") as out:
                    shutil.copyfileobj(source, out, _COPY_BYTES)
                    out.flush()
                    os.fsync(out.fileno())
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """See `Store.open`."""
        with _calls(name), (self._root / name).open("rb") as found:
            yield found

    def size(self, name: str) -> int | None:
        """See `Store.size`."""
        with _calls(name):
            try:
                return (self._root / name).stat().st_size
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        with _calls(folder):
            found = (path for path in (self._root / folder).rglob("*") if path.is_file() and not path.name.startswith("."))
            return sorted(path.relative_to(self._root).as_posix() for path in found)

    def clear(self, folder: str) -> None:
        """See `Store.clear`; parts that a killed writer left go, too."""
        with _calls(folder), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._root / folder)


class S3Store:
    """A bucket, or a part of one; credentials come from the environment as AWS's tools read it."""

    def __init__(self, url: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        self._root = url.removeprefix("s3://").strip("/")
        self._endpoint, self._region = endpoint, region

    @cached_property
    def _fs(self) -> Any:  # noqa: ANN401 (pyarrow ships no types)
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem  # noqa: PLC0415 (only those who have a bucket load the SDK)

        options: dict[str, Any] = {"region": self._region} if self._region else {}
        if self._endpoint:
            parts = urlsplit(self._endpoint)
            options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        return S3FileSystem(
            connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_TRIES),
            **options,
        )

    def put(self, name: str, source: BinaryIO) -> None:
        """See `Store.put`: S3 shows an object when its upload is complete."""
        with _calls(name), self._fs.open_output_stream(f"{self._root}/{name}") as out:
            shutil.copyfileobj(source, out, _COPY_BYTES)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """See `Store.open`."""
        with _calls(name), self._fs.open_input_stream(f"{self._root}/{name}") as found:
            yield found

    def size(self, name: str) -> int | None:
        """See `Store.size`."""
        with _calls(name):
            info = self._fs.get_file_info(f"{self._root}/{name}")
        return int(info.size) if info.is_file else None

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        from pyarrow.fs import FileSelector  # noqa: PLC0415 (as above)

        with _calls(folder):
            found = self._fs.get_file_info(FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True))
        return sorted(info.path.removeprefix(f"{self._root}/") for info in found if info.is_file)

    def clear(self, folder: str) -> None:
        """See `Store.clear`: up to a thousand objects a request."""
        if self.names(folder):
            with _calls(folder):
                self._fs.delete_dir(f"{self._root}/{folder}")


@contextlib.contextmanager
def _calls(name: str) -> Iterator[None]:
    """Whatever the store raises becomes one of the two failure words."""
    try:
        yield
    except FileNotFoundError as e:
        raise Permanent(Reason.NOT_FOUND, f"store: {name} is not there") from e
    except OSError as e:
        is_refused = isinstance(e, PermissionError) or any(word in str(e) for word in _REFUSALS)
        failure = Permanent(Reason.REFUSED, f"store: {e}"[:500]) if is_refused else Transient(Reason.UNAVAILABLE, f"store: {e}"[:500])
        raise failure from e
