"""What is unpacked is what was packed; any other archive is refused with a sentence, and nothing is written outside the folder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from daemon.backup.archive import MANIFEST, Writer, unpack
from retrain.types import Permanent

ROOM = 10**8
LONG = "records/" + "m" * 64 + "/2026-10-07/1791359940.000-031dc88d-0.parquet"


def packed(folder: Path, files: dict[str, bytes]) -> Path:
    with Writer(folder / "archive") as archive:
        for name, data in files.items():
            archive.add(name, io.BytesIO(data), len(data))
        archive.finish({"at": 1.0})
    return folder / "archive"


def crafted(path: Path, fill: Callable[[tarfile.TarFile], None], *, listed: dict[str, bytes] | None = None) -> Path:
    """A tar of somebody else's making, with a manifest that agrees with `listed`."""
    with (
        path.open("wb") as raw,
        pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd") as stream,
        tarfile.open(mode="w|", fileobj=stream, format=tarfile.GNU_FORMAT) as tar,
    ):
        fill(tar)
        files = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in (listed or {}).items()}
        add(tar, MANIFEST, json.dumps({"format": 1, "files": files}).encode())
    return path


def add(tar: tarfile.TarFile, name: str, data: bytes = b"x", **more: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def refusal(archive: Path, into: Path, *, room_bytes: int = ROOM) -> str:
    into.mkdir()
    with pytest.raises(Permanent) as raised:
        unpack(archive, into, room_bytes=room_bytes)
    return raised.value.detail


def test_files_come_back_as_they_were_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    files = {"secrets.json": b"{}", LONG: bytes(range(256)) * 5000, "records/empty": b"", "runs/m/a b/.complete": b""}
    archive = packed(tmp_path, files)
    into = tmp_path / "into"
    into.mkdir()
    facts = unpack(archive, into, room_bytes=ROOM)
    assert {name: (into / name).read_bytes() for name in files} == files
    assert (facts["at"], sorted(facts["files"])) == (1.0, sorted(files))
    assert [path.stat().st_mode & 0o777 for path in (archive, into / "secrets.json")] == [0o600, 0o600]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "records/../../evil",
        "records//x",
        "records/./x",
        "records",
        "other/x",
        "spool/a\nb",
        "records/a\\b",
        ".lock",
    ],
)
def test_a_name_that_is_none_of_ours_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    into = tmp_path / "deep" / "into"
    into.parent.mkdir()
    said = refusal(crafted(tmp_path / "a", lambda tar: add(tar, name), listed={name: b"x"}), into)
    assert "is no name of a backup's file" in said
    assert list(into.iterdir()) == []
    assert not (tmp_path / "evil").exists()
    assert not (into.parent / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.XHDTYPE])
def test_links_devices_folders_and_foreign_headers_are_refused(tmp_path: Path, kind: bytes) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "records/x", b"", type=kind, linkname="/etc/passwd")

    assert "is no plain file" in refusal(crafted(tmp_path / "a", fill), tmp_path / "into")


def test_digests_sizes_additions_and_omissions_are_found(tmp_path: Path) -> None:
    wrong = {
        "digest": (b"x", {"spool/1": b"y"}),
        "size": (b"xx", {"spool/1": b"x"}),
        "more": (b"x", {"spool/1": b"x", "spool/2": b"x"}),
        "none": (b"x", {}),
    }
    for name, (data, listed) in wrong.items():
        archive = crafted(tmp_path / name, lambda tar, data=data: add(tar, "spool/1", data), listed=listed)  # type: ignore[misc] (bound)
        assert "not what the manifest says" in refusal(archive, tmp_path / f"into-{name}")


def test_a_file_that_stands_in_it_twice_or_is_a_folder_too_is_refused(tmp_path: Path) -> None:
    def twice(tar: tarfile.TarFile) -> None:
        add(tar, "spool/1")
        add(tar, "spool/1")

    def both(tar: tarfile.TarFile) -> None:
        add(tar, "spool/1")
        add(tar, "spool/1/2")

    assert "stands in it twice" in refusal(crafted(tmp_path / "a", twice), tmp_path / "into-a")
    assert "a file and a folder at once" in refusal(crafted(tmp_path / "b", both), tmp_path / "into-b")


def test_a_bomb_is_stopped_at_its_header(tmp_path: Path) -> None:
    archive = packed(tmp_path, {"records/zeros": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    into = tmp_path / "into"
    assert "need more room than there is: 1000 bytes are free" in refusal(archive, into, room_bytes=1000)
    assert list(into.rglob("*")) == []


def test_a_header_that_promises_a_huge_name_is_not_read_into_memory(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
        tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr] (open)

    assert "a name is too long" in refusal(crafted(tmp_path / "a", fill), tmp_path / "into")


def test_wherever_it_is_cut_or_bent_it_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path, {"spool/1": bytes(range(256)) * 400, "ledger.db": b"y" * 5000}).read_bytes()
    for i, end in enumerate([0, 1, 7, len(whole) // 3, len(whole) // 2, len(whole) - 200]):
        (tmp_path / f"cut{i}").write_bytes(whole[:end])
        assert "no backup that can be used" in refusal(tmp_path / f"cut{i}", tmp_path / f"into-cut{i}")
    for i, at in enumerate(range(20, len(whole) - 20, len(whole) // 12)):
        bent = bytearray(whole)
        bent[at] ^= 0xFF
        (tmp_path / f"bent{i}").write_bytes(bent)
        assert "no backup that can be used" in refusal(tmp_path / f"bent{i}", tmp_path / f"into-bent{i}")


def test_what_is_no_archive_at_all_is_refused(tmp_path: Path) -> None:
    for name, data in {"text": b"hello", "empty": b"", "tar": b"\0" * 10240}.items():
        (tmp_path / name).write_bytes(data)
        assert "no backup that can be used" in refusal(tmp_path / name, tmp_path / f"into-{name}")


def test_a_name_that_could_not_be_restored_is_refused_when_it_is_packed(tmp_path: Path) -> None:
    with Writer(tmp_path / "archive") as archive, pytest.raises(Permanent, match="no name of a backup"):
        archive.add("adapters/../x", io.BytesIO(b""), 0)
