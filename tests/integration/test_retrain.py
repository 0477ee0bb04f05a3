"""A plan becomes a candidate, through files alone, with a tiny model; killed and resumed it becomes the same candidate."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from retrain.__main__ import inspect, main
from retrain.classifier import save_adapter
from retrain.dataset.build import build, verify
from retrain.dataset.rows import SCHEMA, read_rows, table_of, text_digests, write_rows
from retrain.evaluations import read_evaluation
from retrain.layout import RunFolder
from retrain.loop import batches_of, rate, train
from retrain.plan import DataPart, GatePart, Plan, TrainingPart, Trigger
from retrain.types import EXIT_PERMANENT, EXIT_TRANSIENT, Permanent, Reason, Transient
from retrain.weights import base_folder, weights_digest
from tests.small_disk import fill, mounted
from tests.tiny import make_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LABELS = ("negative", "positive")
PLANNED = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {"negative": ("bad", "awful", "dull"), "positive": ("good", "fine", "great")}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [" ".join((*WORDS["negative"], *WORDS["positive"], "film", "tweet", *map(str, range(600))))]
    return make_tiny(tmp_path_factory.mktemp("base"), words)


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def some(n: int, start: int = 0, *, after: bool = True, domain: str = "film", flipped: bool = False) -> list[dict[str, Any]]:
    draw = random.Random(start)
    found = []
    for i in range(start, start + n):
        label = draw.choice(LABELS)
        words = [draw.choice(WORDS[label]), *[domain] * draw.randint(1, 12), str(i)]
        said = LABELS[1 - LABELS.index(label)] if flipped else label
        at = PLANNED.timestamp() + (i + 1 if after else -i - 1)
        group = json.dumps({"age_band": "young" if i % 3 else "old"})
        found.append({"id": f"{domain}{i}", "at": at, "text": " ".join(words), "label": said, "source": "human", "segments": group})
    return found


def part(base: Path, **changed: Any) -> TrainingPart:
    usual: dict[str, Any] = {
        "base_model": str(base),
        "base_digest": weights_digest(base),
        "labels": LABELS,
        "epochs": 6.0,
        "batch_n": 8,
        "learning_rate": 3e-3,
        "checkpoint_every_steps": 6,
        "threads": 1,
    }
    return TrainingPart(**(usual | changed))


def planned(folder: Path, base: Path, *, training: dict[str, Any] | None = None, **data: Any) -> tuple[Plan, Path]:
    """A plan with its files in `folder`, and the path of plan.json."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "collected.parquet", table_of(some(120)))
    write_rows(folder / "unlabelled.parquet", table_of([r | {"label": None, "source": None} for r in some(30, 200)]))
    write_rows(folder / "replay.parquet", table_of(some(40, 300, after=False, domain="tweet")))
    write_rows(folder / "old.parquet", table_of(some(30, 400, after=False, domain="tweet")))
    usual: dict[str, Any] = {
        "collected": "collected.parquet",
        "unlabelled": "unlabelled.parquet",
        "replay": "replay.parquet",
        "old_domain": "old.parquet",
        "salt": "pepper",
        "train_n": 60,
        "validation_n": 12,
        "gate_n": 30,
        "bound_n": 15,
        "replay_n": 24,
        "reference_n": 50,
    }
    plan = Plan(
        run_id="run-1",
        model="m",
        champion_version="1",
        champion_adapter=None,
        trigger=Trigger(subject="risk", detector="risk_change", because="the loss rose", at=PLANNED.isoformat()),
        data=DataPart(**(usual | data)),
        training=part(base, **(training or {})),
        gate=GatePart(protected=("age_band",)),
        created_at=PLANNED.isoformat(),
    )
    path = folder / "plan.json"
    path.write_bytes(plan.to_json())
    return plan, path


def adapter_bytes(run: RunFolder) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(run.adapter.iterdir()))


def journal(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.progress.read_text().splitlines()]


def wait_for(true: Callable[[], bool], child: subprocess.Popen[bytes], deadline_s: float = 200.0) -> None:
    end, pause = time.monotonic() + deadline_s, threading.Event()
    while not true():
        assert child.poll() is None, f"it ended by itself with {child.returncode}"
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.005)


@contextmanager
def started(plan: Path, run: RunFolder) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m retrain train` as a process of its own; never left behind."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-m", "retrain", "train", str(plan), "--dir", str(run.root)]
    with subprocess.Popen(command, env=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_plan_becomes_a_candidate_with_everything_that_the_gates_read(tmp_path: Path, base: Path) -> None:
    plan, path = planned(tmp_path, base, training={"epochs": 12.0})
    run = RunFolder(tmp_path / "run")
    assert main(["run", str(path), "--dir", str(run.root)]) == 0
    champion, candidate = (read_evaluation(run.evaluation("gate", who)) for who in ("champion", "candidate"))
    assert champion.row.tolist() == candidate.row.tolist()
    assert candidate.n >= plan.data.gate_n
    assert set(candidate.groups["age_band"]) == {"old", "young"}
    assert candidate.loss.mean() < 0.1 < champion.loss.mean()
    assert read_evaluation(run.evaluation("old_domain", "candidate")).n == 30
    assert json.loads(run.reload.read_bytes())["max_abs_score_difference"] < 1e-5
    bound, reference = read_rows(run.bound), read_rows(run.reference)
    assert bound["predicted"].null_count == reference["predicted"].null_count == 0
    assert bound["label"].null_count == 0
    assert reference.num_rows == 50
    assert not set(text_digests(reference)) & {
        d for name in ("train", "validation") for d in text_digests(read_rows(run.dataset / f"{name}.parquet"))
    }
    again = {p: p.stat().st_mtime_ns for p in run.root.rglob("*.parquet")}
    assert main(["resume", str(path), "--dir", str(run.root)]) == 0
    assert again == {p: p.stat().st_mtime_ns for p in run.root.rglob("*.parquet")}
    told = inspect(run)
    assert told["candidate"]["plan_digest"] == plan.digest
    assert told["failure"] is None
    assert (run.root / "plan.json").read_bytes() == plan.to_json()


def test_killed_after_a_checkpoint_the_counter_goes_on_and_the_adapter_is_the_same(tmp_path: Path, base: Path) -> None:
    plan, path = planned(tmp_path, base, training={"epochs": 12.0})
    run, whole = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")
    build(plan, tmp_path, run)
    shutil.copytree(run.dataset, whole.dataset)
    with started(path, run) as first:
        wait_for((run.checkpoints / "step-000006" / ".complete").is_file, first)
        first.send_signal(signal.SIGTERM)
        assert first.wait(100) == EXIT_TRANSIENT
    assert json.loads(run.failure.read_bytes())["reason"] == Reason.INTERRUPTED
    stopped_at = journal(run)[-1]["step"]
    with started(path, run) as second:
        wait_for(lambda: journal(run)[-1]["step"] > stopped_at + 12, second)
        second.kill()
        assert second.wait(100) == -signal.SIGKILL
    assert main(["train", str(path), "--dir", str(run.root)]) == 0
    steps = [line["step"] for line in journal(run)]
    assert 0 < inspect(run)["candidate"]["resumed_from"] < steps[-1]
    assert stopped_at + 1 == steps[steps.index(stopped_at) + 1]
    assert set(steps) == set(range(1, steps[-1] + 1))
    assert main(["train", str(path), "--dir", str(whole.root)]) == 0
    assert adapter_bytes(run) == adapter_bytes(whole)


def test_a_training_on_a_full_disk_says_so_keeps_its_checkpoint_and_goes_on_with_room(tmp_path: Path, base: Path) -> None:
    plan, path = planned(tmp_path, base, training={"epochs": 12.0})
    with mounted(tmp_path / "disk", "size=8m") as disk:
        run = RunFolder(disk / "run")
        build(plan, tmp_path, run)
        with started(path, run) as first:
            wait_for((run.checkpoints / "step-000006" / ".complete").is_file, first)
            fill(disk / "ballast", but_bytes=2**14)
            assert first.wait(100) == EXIT_TRANSIENT
        told = json.loads(run.failure.read_bytes())
        assert (told["reason"], "No space left" in told["detail"]) == (Reason.NO_SPACE, True)
        assert not list(run.checkpoints.glob(".*.tmp")), "half of a checkpoint takes room"
        kept = max(int(p.parent.name[-6:]) for p in run.checkpoints.glob("step-*/.complete"))
        (disk / "ballast").unlink()
        assert main(["train", str(path), "--dir", str(run.root)]) == 0
        assert inspect(run)["candidate"]["resumed_from"] == kept


def test_an_adapter_that_a_full_disk_cannot_take_is_no_crash(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, path = planned(tmp_path, base)
    with mounted(tmp_path / "disk", "size=8m") as disk:
        run = RunFolder(disk / "run")
        build(plan, tmp_path, run)

        def full(model: Any, folder: Path, base_model: str) -> None:
            fill(disk / "ballast", but_bytes=2**14)
            save_adapter(model, folder, base_model)

        monkeypatch.setattr("retrain.loop.save_adapter", full)
        assert main(["train", str(path), "--dir", str(run.root)]) == EXIT_TRANSIENT
        assert json.loads(run.failure.read_bytes())["reason"] == Reason.NO_SPACE


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("could not create a primitive"), RuntimeError("std::bad_alloc")])
def test_a_training_without_memory_says_so_in_words(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    plan, path = planned(tmp_path, base)  # what a real training raised under a limit of its address space (oneDNN's words are the second)
    run = RunFolder(tmp_path / "run")
    build(plan, tmp_path, run)
    monkeypatch.setattr("retrain.loop.train", Mock(side_effect=error))
    assert main(["train", str(path), "--dir", str(run.root)]) == EXIT_TRANSIENT
    told = json.loads(run.failure.read_bytes())
    assert told["reason"] == Reason.OUT_OF_MEMORY
    assert told["detail"]


def test_equal_seeds_give_equal_adapters_and_others_do_not(tmp_path: Path, base: Path) -> None:
    made = []
    for i, seed in enumerate((1, 1, 2)):
        run = RunFolder(tmp_path / str(i))
        train(part(base, seed=seed, epochs=1.0), table_of(some(32)), table_of(some(8, 50)), run, plan_digest="d")
        made.append(adapter_bytes(run))
    assert made[0] == made[1] != made[2]


def test_the_checkpoint_with_the_lowest_validation_loss_is_the_candidate(tmp_path: Path, base: Path) -> None:
    run = RunFolder(tmp_path)
    validation = table_of(some(24, 500, flipped=True))  # learning makes it worse
    found = train(part(base, epochs=12.0), table_of(some(48)), validation, run, plan_digest="d")
    losses = {line["step"]: line["validation_loss"] for line in journal(run) if "validation_loss" in line}
    assert found.best_step == min(losses, key=lambda step: losses[step]) < found.steps
    said = pq.read_table(run.check_scores)
    truth = [LABELS.index(label) for label in said["label"].to_pylist()]
    scores = np.asarray(said["scores"].to_pylist())
    assert -np.log(scores[np.arange(24), truth]).mean() == pytest.approx(losses[found.best_step], abs=1e-4)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, base: Path) -> None:
    run, calls = RunFolder(tmp_path), iter(range(100))
    with pytest.raises(Transient):
        train(part(base), table_of(some(48)), table_of(some(8, 50)), run, plan_digest="d", stop=lambda: next(calls) == 19)
    newest = max(run.checkpoints.glob("step-*"))
    assert newest.name == "step-000020"
    (newest / "trainable.safetensors").write_bytes(b"\x00" * 40)
    assert train(part(base), table_of(some(48)), table_of(some(8, 50)), run, plan_digest="d").resumed_from == 18


def test_a_folder_serves_one_plan(tmp_path: Path, base: Path) -> None:
    run = RunFolder(tmp_path)
    train(part(base, epochs=1.0), table_of(some(16)), table_of([]), run, plan_digest="one")
    with pytest.raises(Permanent) as caught:
        train(part(base, epochs=2.0), table_of(some(16)), table_of([]), run, plan_digest="two")
    assert caught.value.reason is Reason.CONFLICT


def test_training_ends_at_its_deadline(tmp_path: Path, base: Path) -> None:
    with pytest.raises(Permanent) as caught:
        train(part(base, deadline_s=1e-6), table_of(some(32)), table_of([]), RunFolder(tmp_path), plan_digest="d")
    assert caught.value.reason is Reason.TIMEOUT


def test_another_base_is_refused_and_said_so_in_failure_json(tmp_path: Path, base: Path) -> None:
    _, path = planned(tmp_path, base, training={"base_digest": "0" * 64})
    run = RunFolder(tmp_path / "run")
    assert main(["run", str(path), "--dir", str(run.root)]) == EXIT_PERMANENT
    failure = json.loads(run.failure.read_bytes())
    assert (failure["kind"], failure["reason"]) == ("permanent", Reason.WRONG_BASE)
    assert not run.candidate.exists()


@pytest.mark.parametrize("change", [{"technique": "find"}, {"technique": "../x"}, {"technique": "none_such"}])
def test_an_unknown_technique_is_a_bad_plan(tmp_path: Path, base: Path, change: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as caught:
        train(part(base, **change), table_of(some(16)), table_of([]), RunFolder(tmp_path), plan_digest="d")
    assert caught.value.reason is Reason.BAD_PLAN


def test_the_data_set_is_the_same_every_time_and_nothing_sealed_or_own_is_learned_from(tmp_path: Path, base: Path) -> None:
    plan, _ = planned(tmp_path, base, sealed=("sealed.parquet",))
    dirty = [
        *some(120),
        {"id": "own", "at": PLANNED.timestamp() + 5, "text": "own words", "label": "positive", "source": "own"},
        {"id": "typo", "at": PLANNED.timestamp() + 6, "text": "typing error", "label": "postive", "source": "human"},
        {
            "id": "old",
            "at": PLANNED.timestamp() + 7,
            "text": some(1, 400, domain="tweet")[0]["text"].upper(),
            "label": "positive",
            "source": "human",
        },
    ]
    write_rows(tmp_path / "collected.parquet", table_of(dirty))
    write_rows(tmp_path / "sealed.parquet", table_of(some(3)))
    manifests = [build(plan, tmp_path, RunFolder(tmp_path / name)) for name in ("one", "two")]
    assert manifests[0] == manifests[1] == verify(plan, tmp_path, RunFolder(tmp_path / "one"))
    assert manifests[0].removed["own_output"] == manifests[0].removed["unknown_label"] == 1
    assert manifests[0].removed["sealed"] == 4
    learned = {i for name in ("train", "validation") for i in read_rows(tmp_path / "one" / "dataset" / f"{name}.parquet")["id"].to_pylist()}
    assert not learned & {"own", "typo", "old", "film0", "film1", "film2"}
    assert manifests[0].replayed == 24


def test_a_leak_found_later_makes_the_run_invalid(tmp_path: Path, base: Path) -> None:
    plan, path = planned(tmp_path, base, sealed=("sealed.parquet",))
    write_rows(tmp_path / "sealed.parquet", table_of([]))
    run = RunFolder(tmp_path / "run")
    assert main(["dataset", str(path), "--dir", str(run.root)]) == 0
    write_rows(tmp_path / "sealed.parquet", read_rows(run.dataset / "train.parquet").slice(0, 1))
    assert main(["train", str(path), "--dir", str(run.root)]) == EXIT_PERMANENT
    assert json.loads(run.failure.read_bytes())["reason"] == Reason.LEAK
    assert msgspec.json.decode(run.manifest.read_bytes())["plan_digest"] == plan.digest


def test_a_file_that_changed_after_it_was_built_is_noticed(tmp_path: Path, base: Path) -> None:
    plan, _ = planned(tmp_path, base)
    run = RunFolder(tmp_path / "run")
    build(plan, tmp_path, run)
    write_rows(run.dataset / "gate.parquet", SCHEMA.empty_table())
    with pytest.raises(Permanent, match=r"gate\.parquet changed"):
        verify(plan, tmp_path, run)


def test_nothing_to_train_on_is_said_with_the_reasons(tmp_path: Path, base: Path) -> None:
    plan, _ = planned(tmp_path, base, replay=None)
    write_rows(tmp_path / "collected.parquet", table_of([r | {"source": "own"} for r in some(9)]))
    with pytest.raises(Permanent, match="'own_output': 9") as caught:
        build(plan, tmp_path, RunFolder(tmp_path / "run"))
    assert caught.value.reason is Reason.NOT_ENOUGH_LABELS


def test_score_answers_rows_with_and_without_labels(tmp_path: Path, base: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(part(base, epochs=1.0), table_of(some(16)), table_of([]), run, plan_digest="d")
    write_rows(tmp_path / "rows.parquet", table_of([*some(5), *[r | {"label": None} for r in some(4, 10)]]))
    out = tmp_path / "out.parquet"
    common = ["score", "--base", str(base), "--labels", ",".join(LABELS), "--rows", str(tmp_path / "rows.parquet"), "--out", str(out)]
    assert main([*common, "--adapter", str(run.adapter)]) == 0
    assert pq.read_table(out).num_rows == 9
    assert read_evaluation(out).n == 5
    assert main([*common, "--adapter", str(tmp_path)]) == EXIT_PERMANENT


def test_an_adapter_names_no_path_of_this_machine(tmp_path: Path, base: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(part(base, epochs=1.0), table_of(some(16)), table_of([]), run, plan_digest="d")
    config = json.loads((run.adapter / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == str(base)  # as the plan says: a path here, package:NAME there
    assert sorted(p.name for p in run.adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_batches_have_every_row_once_an_epoch_and_little_padding() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(4, 97, 1000).tolist()
    batches = batches_of(lengths, 32, 2.0, seed=3)
    assert len(batches) == 64
    for epoch in (batches[:32], batches[32:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(1000))
    size = np.asarray(lengths)
    padded = sum(size[b].max() * len(b) for b in batches)
    assert padded < 1.15 * 2 * size.sum()
    assert len(batches_of(lengths, 32, 0.5, seed=3)) == 16


def test_the_learning_rate_rises_then_falls_to_almost_nothing() -> None:
    rates = [rate(step, 100) for step in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert max(rates) == 1.0
    assert rates[0] == 0.1
    assert rates[-1] < 0.02


@pytest.mark.parametrize("name", ["package:no_such_package_here", "package:../etc", "/nowhere"])
def test_a_base_model_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(Permanent) as caught:
        base_folder(name)
    assert caught.value.reason is Reason.NOT_FOUND
