"""A run's files carried through a shared folder and through a real S3 server, and a command that runs away from the service."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain.away import files_of
from retrain.bundle import Entry, Index, pack, read_index, unpack
from retrain.layout import RunFolder
from retrain.store import FolderStore, Store, open_store
from retrain.types import Permanent, Reason, Transient
from tests.s3 import Bucket, bucket

MOST = 10 << 20


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch, bucket(tmp_path_factory.mktemp("s3") / "weed") as found:
        for name, value in found.env:
            patch.setenv(name, value)
        yield found


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Options of `retrain.away` that name the store."""
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        return ["--store", str(tmp_path / "shared")]
    found: Bucket = request.getfixturevalue("s3")
    return ["--store", f"{found.url}/{tmp_path.name}", "--endpoint", found.endpoint]


@pytest.fixture
def store(where: list[str]) -> Store:
    return open_store(where[1], endpoint=where[3] if len(where) > 2 else None)


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_files_arrive_whole_and_equal_contents_are_sent_once(store: Store, tmp_path: Path) -> None:
    here = tree(tmp_path / "here", plan="p", data__a="same", data__b="same")
    index = pack(store, "runs/m/1", "k/inputs", here, files_of(here), most_bytes=MOST)
    again = pack(store, "runs/m/1", "k/inputs", here, files_of(here), most_bytes=MOST, code=7)
    assert len([name for name in store.names("runs/m/1") if "/blobs/" in name]) == 2
    assert again.files == index.files
    found = read_index(store, "runs/m/1", "k/inputs")
    assert found is not None
    assert (found.code, found.files) == (7, index.files)
    unpack(store, "runs/m/1", found, tmp_path / "there", most_bytes=MOST)
    assert {p.name: p.read_text() for p in files_of(tmp_path / "there")} == {"plan": "p", "a": "same", "b": "same"}


def test_a_run_that_has_ended_leaves_nothing_and_others_keep_theirs(store: Store, tmp_path: Path) -> None:
    here = tree(tmp_path / "here", plan="p", data__a="same")
    for run in ("1", "10"):
        pack(store, f"runs/m/{run}", "k/inputs", here, files_of(here), most_bytes=MOST)
    kept = store.names("runs/m/10")
    for _ in range(2):
        store.clear("runs/m/1")
    assert (store.names("runs/m/1"), store.names("runs/m/10")) == ([], kept)
    assert kept


def test_what_is_not_there_or_not_what_its_name_says_is_told(store: Store, tmp_path: Path) -> None:
    assert (store.size("no/such"), store.names("no"), read_index(store, "no", "such")) == (None, [], None)
    with pytest.raises(Permanent) as missing, store.open("no/such"):
        pass
    assert missing.value.reason is Reason.NOT_FOUND
    here = tree(tmp_path / "here", a="right")
    index = pack(store, "r", "k/inputs", here, [here / "a"], most_bytes=MOST)
    for wrong in (b"wrong", b"r"):
        store.put(f"r/blobs/{index.files['a'].sha256}", io.BytesIO(wrong))
        with pytest.raises(Transient) as torn:
            unpack(store, "r", index, tmp_path / "there", most_bytes=MOST)
        assert torn.value.reason is Reason.BAD_DATA
    assert list((tmp_path / "there").iterdir()) == []
    pack(store, "r", "k/inputs", here, [here / "a"], most_bytes=MOST)  # another size than it should have: sent again
    unpack(store, "r", index, tmp_path / "there", most_bytes=MOST)


def test_an_index_can_neither_leave_the_folder_nor_fill_the_disk(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "shared")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "link").symlink_to(tmp_path)
    for place in ("../evil", "/etc/evil", "a/../../evil", "link/evil"):
        with pytest.raises(Permanent) as refused:
            unpack(store, "r", Index(files={place: Entry(bytes=1, sha256="0" * 64)}), tmp_path / "there", most_bytes=MOST)
        assert refused.value.reason is Reason.BAD_DATA
    with pytest.raises(Permanent, match="at most"):
        unpack(store, "r", Index(files={"a": Entry(bytes=MOST + 1, sha256="0" * 64)}), tmp_path / "there", most_bytes=MOST)
    with pytest.raises(Transient, match="is the claim mounted"):
        store.put("r/k/outcome.json", io.BytesIO(b"x"))
    (tmp_path / "shared").mkdir()
    store.put("r/k/outcome.json", io.BytesIO(b'{"files": {}, "extra": 1}'))
    with pytest.raises(Permanent, match="extra"):
        read_index(store, "r", "k/outcome")


def start(where: list[str], folder: Path, code: str, *, key: str = "train-0") -> subprocess.Popen[bytes]:
    options = ["--prefix", "runs/m/1", "--key", key, "--dir", str(folder), "--most-bytes", str(MOST)]
    command = [sys.executable, "-P", "-m", "retrain.away", *where, *options, "--", sys.executable, "-I", "-S", "-c", code]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ)


def inputs(store: Store, root: Path, *, key: str = "train-0") -> None:
    pack(store, "runs/m/1", f"{key}/inputs", root, files_of(root), most_bytes=MOST)


WORK = """
import os, sys, time
from pathlib import Path
run = Path({run!r})
def checkpoint(step):
    folder = run / "checkpoints" / f"step-{{step:06d}}"
    folder.mkdir(parents=True)
    (folder / "state").write_text(str(step))
    (folder / ".complete").touch()
(run / "began").write_text(",".join(sorted(p.name for p in (run / "checkpoints").glob("*"))))
"""


def test_what_a_command_makes_comes_home_with_its_exit_code(where: list[str], store: Store, tmp_path: Path) -> None:
    inputs(store, tree(tmp_path / "service", plan="p", jobs__private="stays"))
    away = tmp_path / "away"
    code = WORK.format(run=str(away)) + "(run / 'candidate').mkdir(); (run / 'candidate/candidate.json').write_text('{}'); sys.exit(75)"
    with start(where, away, code) as process:
        assert process.wait(timeout=60) == 75
    assert not (away / "jobs").exists()
    index = read_index(store, "runs/m/1", "train-0/outcome")
    assert index is not None
    assert (index.code, sorted(index.files)) == (75, ["began", "candidate/candidate.json"])
    with start(where, tmp_path / "again", "raise SystemExit(0)") as process:
        assert process.wait(timeout=60) == 0
    with start(where, tmp_path / "once more", "raise SystemExit(1)") as process:
        assert process.wait(timeout=60) == 0, "the attempt is over: nothing runs twice"


def test_an_attempt_that_was_killed_left_a_checkpoint_that_the_next_one_begins_at(where: list[str], store: Store, tmp_path: Path) -> None:
    service = tree(tmp_path / "service", plan="p")
    inputs(store, service)
    away = tmp_path / "away"
    with start(where, away, WORK.format(run=str(away)) + "checkpoint(10); checkpoint(20); time.sleep(300)") as process:
        end = time.monotonic() + 60
        while not any("checkpoint-000020" in name for name in store.names("runs/m/1")):
            assert time.monotonic() < end
            time.sleep(0.05)  # between two looks
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    inputs(store, service, key="train-1")
    torn = next(name for name in store.names("runs/m/1") if "checkpoint-000020" in name)
    with store.open(torn) as source:
        blob = json.loads(source.read())["files"]["checkpoints/step-000020/state"]["sha256"]
    store.put(f"runs/m/1/blobs/{blob}", io.BytesIO(b"torn"))
    second = tmp_path / "second"
    with start(where, second, WORK.format(run=str(second)), key="train-1") as process:
        assert process.wait(timeout=60) == 0
    assert (second / "began").read_text().split(",")[0] == "step-000010"


def test_without_a_store_or_inputs_the_exit_code_says_whether_to_try_again(tmp_path: Path) -> None:
    with start(["--store", str(tmp_path / "shared")], tmp_path / "away", "pass") as process:
        assert (process.wait(timeout=60), b"no inputs" in process.stderr.read()) == (65, True)  # type: ignore[union-attr]  # a pipe
    gone = ["--store", "s3://models/x", "--endpoint", "http://127.0.0.1:9", "--region", "us-east-1"]
    with start(gone, tmp_path / "away", "pass") as process:
        assert (process.wait(timeout=60), b"unavailable" in process.stderr.read()) == (75, True)  # type: ignore[union-attr]  # a pipe


def test_a_runs_folder_says_what_is_carried(tmp_path: Path) -> None:
    run = RunFolder(tree(tmp_path, plan="p", inputs__a="a", checkpoints__x="no", jobs__y="no", dataset__manifest="m"))
    assert sorted(p.relative_to(run.root).as_posix() for p in files_of(run.root)) == ["dataset/manifest", "inputs/a", "plan"]
