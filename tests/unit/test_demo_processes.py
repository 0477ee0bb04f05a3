"""What the demo starts it ends, and what it shows on a terminal."""

import io
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobSpec, JobState
from daemon.demo.children import Children
from daemon.demo.opening import fresh
from daemon.demo.stage import collected
from daemon.demo.view import View
from retrain.types import Permanent, Transient


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Runs modules of a folder of the test's own."""
    (tmp_path / "ends.py").write_text("import sys; print('last words'); sys.exit(int(sys.argv[1]))")
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Children(tmp_path / "logs")


def wait_for(condition, what: str) -> None:  # noqa: ANN001 (any callable)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what


def test_a_process_that_ended_well_is_finished_and_one_that_did_not_is_told_with_its_last_words(children: Children) -> None:
    children.start("good", "ends", "0")
    wait_for(lambda: children.finished("good"), "the process ends")
    children.check()
    children.start("bad", "ends", "3").wait()
    with pytest.raises(Permanent, match=r"bad ended with code 3:\nlast words"):
        children.check()
    with pytest.raises(Permanent, match="code 3"):
        children.finished("bad")


def test_the_end_takes_along_what_a_child_left_running_in_a_session_of_its_own(children: Children) -> None:
    parent = children.start("parent", "parent")
    wait_for(lambda: children.log("parent").strip(), "the grandchild is started")
    grandchild = psutil.Process(int(children.log("parent")))
    children.end()
    assert parent.poll() is not None
    wait_for(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE, "the grandchild is ended")


def test_a_job_that_outlives_the_service_is_ended_with_the_demo(tmp_path: Path) -> None:
    executor = LocalExecutor()
    spec = JobSpec(
        key="watch-0",
        command=(sys.executable, "-c", "import time; time.sleep(600)"),
        folder=tmp_path / "runs" / "r" / "jobs",
        deadline_s=600.0,
    )
    job = executor.submit(spec)
    assert executor.poll(job).state is JobState.RUNNING
    Children(tmp_path / "logs", jobs=tmp_path).end()
    assert executor.poll(job).state is not JobState.RUNNING


def test_waiting_has_an_end(children: Children) -> None:
    with pytest.raises(Transient, match=r"the moon took more than 0\.1 s"):
        children.wait("the moon", lambda: False, timeout_s=0.1, meanwhile=lambda: None)


def test_only_a_folder_that_a_demo_made_is_emptied(tmp_path: Path) -> None:
    out = fresh(tmp_path / "out")
    (out / "old.txt").write_text("old")
    assert not (fresh(out) / "old.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(Permanent, match="no demo made it"):
        fresh(mine)
    assert (mine / "thesis.txt").exists()
    with pytest.raises(Permanent, match="no demo made it"):
        fresh(mine / "thesis.txt")


def test_a_terminal_shows_progress_facts_and_timeline() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40)
    with View(console=console) as view:
        view.phase("traffic: tweets")
        view.facts["macro F1, last records"] = "0.93 [0.90, 0.95] on 150 rows"
        view.advance(40, 800, "40 of 800 records")
        view.tell("an incident opens: [text]")
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    for part in ("traffic: tweets", "0.93 [0.90, 0.95]", "40 of 800 records", "an incident opens: [text]"):
        assert part in shown


def test_a_file_gets_each_line_once() -> None:
    console = Console(file=io.StringIO(), width=80)
    with View(console=console) as view:
        view.tell("an incident opens: " + "x" * 100)
    assert console.file.getvalue().count("\n") == 1  # type: ignore[attr-defined]  # the StringIO above


def test_collecting_shows_what_is_there_and_what_is_wanted() -> None:
    assert collected({"state": "collecting", "detail": {"collected": {"gate": [3, 400], "train": [5, 640]}}}) == "gate 3/400, train 5/640"
    assert collected({"state": "training", "detail": {"collected": {"gate": [3, 400]}}}) == ""
    assert collected(None) == ""


def test_python_dash_m_is_the_command() -> None:
    import subprocess

    said = subprocess.run([sys.executable, "-m", "daemon", "demo", "--shift", "sideways"], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "sideways" in said.stderr
