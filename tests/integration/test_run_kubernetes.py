"""The real loop through Jobs: a data set is built, an adapter trained, evaluated, judged and watched, all in pods that see a store only."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from daemon.act.executors.port import Executor
from daemon.act.runs import Runs
from daemon.act.step import Ports
from daemon.store.runs import Run
from retrain.classifier import load_base, save_adapter
from retrain.dataset.rows import table_of
from retrain.plan import TrainingPart
from retrain.techniques.find import technique
from retrain.weights import base_folder, weights_digest
from tests.acting import LABELS, Registry, World
from tests.clusters import Bench, bench_of
from tests.clusters import until as until_soon
from tests.s3 import Bucket, bucket
from tests.tiny import make_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORDS = {"negative": ["soggy", "rusty", "noisy", "stale"], "positive": ["crisp", "shiny", "quiet", "fresh"]}


def until(found: Callable[[], bool]) -> None:
    """A tick is real work: few of them, the jobs need the machine."""
    until_soon(found, seconds=180.0, every_s=0.3)


def text(label: str, i: int) -> str:
    return " ".join([*random.Random(i).choices(WORDS[label], k=5), f"n{i}"])


class Adapters(Registry):
    """The registry, with a real adapter as version 1: untrained, so that any training is better."""

    base_model: str

    def fetch(self, model: str, version: str, into: Path) -> Path:
        target = into / f"{model}-{version}"
        if not target.exists():
            digest = weights_digest(base_folder(self.base_model))
            part = TrainingPart(base_model=self.base_model, base_digest=digest, labels=LABELS, rank=4)
            base, _ = load_base(self.base_model, LABELS, seed=0)
            save_adapter(technique("lora").attach(base, part), target, self.base_model)
        return target


def rows(n: int, *, at: float, version: str, prefix: str) -> pa.Table:
    made = []
    for i in range(n):
        label = LABELS[i % 2]
        row = {"id": f"{prefix}-{i}", "at": at + i / 1000, "version": version, "text": text(label, i + (at % 1e6)), "label": label}
        made.append({**row, "source": "human", "predicted": label})
    return table_of(made)


def world_of(bench: Bench, executor: Executor, base_model: str, **rules: Any) -> World:
    """`tests.acting`'s world with real files, a real base and real jobs."""
    world = World(bench.folder)
    assert world.model.retrain is not None
    sizes = world.model.retrain.data.model_copy(update={"train_n": 120, "validation_n": 16, "gate_n": 80, "bound_n": 20})
    wanted = {"base_model": base_model, "data": sizes, "learning_rate": 3e-3, "rank": 4, "max_tokens": 16, "threads": 1, **rules}
    world.model = world.model.model_copy(update={"retrain": world.model.retrain.model_copy(update=wanted)})
    versions = Adapters(world.fuse, world.folder, now=world.registry.now)
    versions.base_model = base_model
    world.registry = versions
    ports = Ports(ledger=world.ledger, versions=versions, executor=executor, rows=world.log, data_dir=world.settings.data_dir)
    world.runs = Runs(ports, split_salt=b"0" * 32)
    world.aliases = type(world.aliases)(settings=world.settings, ledger=world.ledger, versions=versions)
    return world


def goes_to(world: World, *states: str) -> Run:
    """Ticks until the run is in one of the states."""
    seen: list[Run] = []

    def is_there() -> bool:
        run = world.tick(1.0)
        seen.append(run or world.newest())
        assert seen[-1].state in states or seen[-1].state not in {"failed", "invalid", "rejected", "inconclusive"}, seen[-1]
        return seen[-1].state in states

    until(is_there)
    return seen[-1]


def begin(world: World) -> None:
    world.trigger()
    world.log.labelled_now = rows(400, at=world.now + 1.0, version="1", prefix="new")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_of(tmp_path) as found:
        yield found


@pytest.fixture
def texts() -> list[str]:
    return [text(label, i) for i in range(400) for label in LABELS]


def test_a_run_goes_its_whole_way_on_a_shared_claim_and_on_from_its_checkpoint_when_its_pod_is_killed(
    bench: Bench, texts: list[str]
) -> None:
    base = make_tiny(bench.folder / "shared" / "base", texts)
    world = world_of(bench, bench.executor(), str(base), epochs=90.0)
    begin(world)
    run = goes_to(world, "training")
    until(lambda: world.tick(1.0) is not None and list(bench.folder.glob("shared/runs/m/*/*.training-0/checkpoint-*.json")) != [])
    bench.kill(world.newest().detail["job"]["handle"])

    run = goes_to(world, "watching", "rejected")
    root = world.settings.data_dir / run.folder
    assert run.state == "watching", run.record
    assert json.loads((root / "candidate" / "candidate.json").read_text())["resumed_from"] > 0
    assert sorted(p.name.partition(".")[2] for p in (root / "jobs").iterdir()) == ["dataset-0", "evaluating-0", "training-0", "training-1"]
    assert world.champion() == run.version

    fresh = rows(60, at=world.now + 1.0, version=str(run.version), prefix="after")
    world.log.labelled_now = pa.concat_tables([world.log.labelled_now, fresh])
    until(lambda: (world.tick(1.0) is not None) and "n" in world.newest().detail.get("watch", {}))
    assert world.newest().detail["watch"]["n"] == 60
    world.ledger.close()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Bucket]:
    with bucket(tmp_path / "weed") as found:
        yield found


def test_a_run_goes_its_whole_way_with_s3_alone(bench: Bench, s3: Bucket, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    package = bench.folder / "site" / "tiny_base_of_a_test"
    make_tiny(package / "model", texts)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(bench.folder / "site"))
    monkeypatch.setenv("PYTHONPATH", ":".join(p for p in sys.path if p))
    for name, value in s3.env:
        monkeypatch.setenv(name, value)
    bench.fake.secrets["bucket"] = dict(s3.env)
    executor = bench.executor(store={"url": s3.url, "endpoint": s3.endpoint, "region": "us-east-1"}, env_from_secret="bucket")
    world = world_of(bench, executor, "package:tiny_base_of_a_test", epochs=10.0)
    begin(world)
    run = goes_to(world, "watching", "rejected")
    assert run.record is not None
    assert not list((bench.folder / "shared").iterdir())
    pods = [path for path in (bench.folder / "cluster").glob("*/*/plan.json") if path.is_file()]
    assert len(pods) == 3, "each pod had a copy of its own"
    secret = dict(s3.env)["AWS_SECRET_ACCESS_KEY"]
    assert secret not in json.dumps(bench.fake.all("jobs"))
    world.ledger.close()
