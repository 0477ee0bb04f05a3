"""A small world for the acting part: a real ledger, real files; registry, executor and record log answer at once.

Everything outside can be told to die (`Killed`) at its n-th touch, before or after its effect, as a process that gets SIGKILL does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, event

from daemon.act.aliases import Aliases
from daemon.act.executors.port import JobSpec, JobState, JobStatus
from daemon.act.outbox import Deliverer
from daemon.act.runs import Runs
from daemon.act.step import Ports
from daemon.decide.policy import Retrain, TriggerKind
from daemon.settings import ModelSettings, Settings
from daemon.store import champions, runs
from daemon.store.ledger import Ledger
from daemon.store.runs import Run
from retrain.dataset.rows import read_rows, table_of, write_rows
from retrain.evaluations import write_evaluation
from retrain.layout import RunFolder
from retrain.types import Permanent, Reason, VersionRef

LABELS = ("negative", "positive")
MODEL = "m"


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


@dataclass
class Fuse:
    """Counts touches of the outside and dies at one of them."""

    at: int | None = None
    touched: int = 0

    def touch(self) -> None:
        self.touched += 1
        if self.at is not None and self.touched == self.at:
            self.at = None
            raise Killed


class FusedLedger(Ledger):
    """Dies before a transaction begins, before it commits, or right after."""

    fuse: Fuse

    def __init__(self, url: str) -> None:
        super().__init__(url)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _quick)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self.fuse.touch()
        with self.engine.begin() as tx:
            yield tx
            self.fuse.touch()
        self.fuse.touch()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.fuse.touch()
        with super().read() as tx:
            yield tx
        self.fuse.touch()


def _quick(connection: Any, _record: Any) -> None:
    """Nothing is lost when one process only plays dead: no fsync."""
    connection.execute("PRAGMA synchronous=OFF")


@dataclass
class Registry:
    """MLflow as the loop sees it; survives the service."""

    fuse: Fuse
    folder: Path
    staged: dict[str, str] = field(default_factory=dict)
    """Key -> version."""
    now: dict[str, str] = field(default_factory=dict)
    puts: Counter[str] = field(default_factory=Counter)
    deleted: set[str] = field(default_factory=set)

    def stage(self, model: str, candidate: Path, *, key: str, tags: Mapping[str, str]) -> VersionRef:
        self.fuse.touch()
        assert (candidate / "adapter_config.json").exists()
        version = self.staged.setdefault(key, str(len(self.staged) + 2))
        self.fuse.touch()
        return VersionRef(model=model, version=version, tags=dict(tags))

    def aliases(self, _model: str) -> dict[str, str]:
        self.fuse.touch()
        return dict(self.now)

    def put_alias(self, _model: str, alias: str, version: str | None) -> None:
        self.fuse.touch()
        if version is None:
            self.now.pop(alias, None)
        elif version in self.deleted:
            raise Permanent(Reason.NOT_FOUND, version)
        else:
            self.now[alias] = version
            self.puts[f"{alias}={version}"] += 1
        self.fuse.touch()

    def find(self, model: str, version: str) -> VersionRef | None:
        self.fuse.touch()
        known = {"1", *self.staged.values()} - self.deleted
        return VersionRef(model=model, version=version, tags={}) if version in known else None

    def fetch(self, model: str, version: str, into: Path) -> Path:
        self.fuse.touch()
        target = into / f"{model}-{version}"
        target.mkdir(parents=True, exist_ok=True)
        return target


@dataclass
class Workers:
    """Jobs end at once: each writes what the real one would, so that the gates see real files. Survives the service."""

    fuse: Fuse
    quality: str = "better"
    """better | same | few | worse: what the candidate is on the gate's rows."""
    new_is_worse: bool = False
    """The watch: whether the predecessor is right where the new version is wrong."""
    codes: list[int] = field(default_factory=list)
    """Exit codes of the next jobs; then 0."""
    ran: Counter[str] = field(default_factory=Counter)
    ended: dict[str, JobStatus] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    """Runs, in order."""

    def submit(self, spec: JobSpec) -> str:
        self.fuse.touch()
        if spec.key not in self.ended:
            self.ran[spec.key] += 1
            code = self.codes.pop(0) if self.codes else 0
            if code == 0:
                self._work(spec.command)
            self.ended[spec.key] = JobStatus(state=JobState.DONE, code=code, seconds=10.0)
        self.fuse.touch()
        return spec.key

    def poll(self, handle: str) -> JobStatus:
        self.fuse.touch()
        return self.ended.get(handle, JobStatus(state=JobState.LOST))

    def cancel(self, _handle: str) -> None:
        self.fuse.touch()

    def forget(self, workspace: Path) -> None:
        self.fuse.touch()
        self.forgotten.append(workspace.name)
        self.fuse.touch()

    def logs(self, _handle: str, *, most_bytes: int = 65_536) -> str:
        return ""[:most_bytes]

    def _work(self, command: tuple[str, ...]) -> None:
        options = dict(zip(command[5::2], command[6::2], strict=False)) if command[4] == "score" else {}
        if options:
            self._scores(Path(options["--rows"]), Path(options["--out"]))
            return
        folder = RunFolder(Path(command[7]))
        {"dataset": _dataset, "train": _candidate, "evaluate": self._evaluation}[command[4]](folder)

    def _scores(self, rows: Path, out: Path) -> None:
        table = read_rows(rows)
        right = np.asarray([LABELS.index(label) for label in table["label"].to_pylist()])
        write_evaluation(out, table, _scores_of(right, right=self.new_is_worse), LABELS)

    def _evaluation(self, folder: RunFolder) -> None:
        n = 10 if self.quality == "few" else 60
        rows = labelled_rows(n, prefix="gate", at=0.0)
        truth = np.asarray([LABELS.index(label) for label in rows["label"].to_pylist()])
        champion, candidate = _scores_of(truth, right=True), _scores_of(truth, right=True)
        wrong = np.arange(n) % 3 == 0
        if self.quality in {"better", "few"}:
            champion[wrong] = champion[wrong][:, ::-1]
        elif self.quality == "worse":
            candidate[wrong] = candidate[wrong][:, ::-1]
        write_evaluation(folder.evaluation("gate", "champion"), rows, champion, LABELS)
        write_evaluation(folder.evaluation("gate", "candidate"), rows, candidate, LABELS)
        write_rows(folder.reference, rows)
        write_rows(folder.bound, rows)
        folder.reload.write_text(json.dumps({"max_abs_score_difference": 0.0, "n": 50}))


def _dataset(folder: RunFolder) -> None:
    folder.dataset.mkdir(parents=True, exist_ok=True)
    folder.manifest.write_text("{}")


def _candidate(folder: RunFolder) -> None:
    folder.adapter.mkdir(parents=True, exist_ok=True)
    (folder.adapter / "adapter_config.json").write_text("{}")
    folder.candidate_file.write_text("{}")


def _scores_of(truth: np.ndarray[Any, Any], *, right: bool) -> np.ndarray[Any, Any]:
    scores = np.full((len(truth), len(LABELS)), 0.1, dtype=np.float32)
    scores[np.arange(len(truth)), truth if right else 1 - truth] = 0.9
    return scores


def labelled_rows(n: int, *, prefix: str, at: float, predicted_right: bool = True, version: str = "1") -> pa.Table:
    """Rows as the record log gives them."""
    rows = []
    for i in range(n):
        label = LABELS[i % 2]
        predicted = label if predicted_right else LABELS[1 - i % 2]
        text = f"{prefix} text number {i}"
        rows.append(
            {
                "id": f"{prefix}-{i}",
                "at": at + i,
                "version": version,
                "text": text,
                "label": label,
                "source": "human",
                "predicted": predicted,
            }
        )
    return table_of(rows)


@dataclass
class Log:
    """The record log."""

    labelled_now: pa.Table = field(default_factory=lambda: labelled_rows(0, prefix="none", at=0.0))

    def labelled(self, _tx: Connection, _model: str, *, since: float, version: str | None = None) -> pa.Table:
        table = self.labelled_now
        rows = zip(table["at"].to_pylist(), table["version"].to_pylist(), strict=True)
        return table.filter(pa.array([at >= since and version in {None, by} for at, by in rows], pa.bool_()))

    def unlabelled(self, _tx: Connection, _model: str, *, since: float, version: str | None = None) -> pa.Table:
        del since, version
        return labelled_rows(0, prefix="none", at=0.0)


@dataclass
class World:
    """Everything that survives a kill, and a service that does not."""

    folder: Path
    autonomy: str = "promote"
    url: str = ""
    """Of the ledger; SQLite in the folder without one."""
    fuse: Fuse = field(default_factory=Fuse)
    log: Log = field(default_factory=Log)
    now: float = 1_000_000.0

    def __post_init__(self) -> None:
        base = self.folder / "base"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")
        (base / "model.safetensors").write_bytes(b"weights")
        retrain = {
            "base_model": str(base),
            "autonomy": self.autonomy,
            "data": {"train_n": 16, "validation_n": 8, "gate_n": 40, "bound_n": 20, "replay_n": 0},
            "watch_h": 1.0,
        }
        raw = {"name": MODEL, "task": "text-classification", "labels": list(LABELS), "columns": {"text": "text"}, "retrain": retrain}
        self.model = ModelSettings.model_validate(raw)
        self.settings = Settings.model_validate({"data_dir": str(self.folder / "data"), "models": [raw]})
        self.settings.data_dir.mkdir()
        self.registry = Registry(self.fuse, self.folder)
        self.workers = Workers(self.fuse)
        self.start()
        self.ledger.migrate()
        with self.ledger.begin() as tx:
            champions.adopt(tx, MODEL, "1", now=self.now, because="the first one")
        self.registry.now["champion"] = "1"

    def start(self) -> None:
        """A new process: nothing is remembered but ledger, files, registry and jobs."""
        self.ledger = FusedLedger(self.url or f"sqlite:///{self.folder / 'ledger.db'}")
        self.ledger.fuse = self.fuse
        ports = Ports(ledger=self.ledger, versions=self.registry, executor=self.workers, rows=self.log, data_dir=self.settings.data_dir)
        self.runs = Runs(ports, split_salt=b"0" * 32)
        self.aliases = Aliases(settings=self.settings, ledger=self.ledger, versions=self.registry)
        self.outbox = Deliverer(ledger=self.ledger, handlers={"aliases": self.aliases.deliver, "notify": lambda *_: None})

    def tick(self, seconds: float = 10.0) -> Run | None:
        """As the pipeline does it."""
        self.now += seconds
        self.aliases.reconcile(self.now)
        run = self.runs.advance(self.model, self.now)
        self.outbox.deliver(self.now)
        return run

    def survive(self, seconds: float = 10.0) -> Run | None:
        """A tick that may be killed; then the service is started again."""
        try:
            return self.tick(seconds)
        except Killed:
            self.ledger.close()
            self.start()
            return None

    def trigger(self) -> Run:
        """What the policy's decision does."""
        with self.ledger.begin() as tx:
            decision = Retrain(kind=TriggerKind.PERFORMANCE, subject="f1", detector="f1_floor", because="f1 is below 0.8.", at=self.now)
            return self.runs.plan(tx, self.model, decision, self.now)

    def labels(self, n: int = 200, *, prefix: str = "new", predicted_right: bool = True) -> None:
        """Labelled production rows of the present champion, recorded from now on."""
        fresh = labelled_rows(n, prefix=prefix, at=self.now + 1.0, predicted_right=predicted_right, version=self.champion())
        self.log.labelled_now = pa.concat_tables([self.log.labelled_now, fresh])

    def until(self, *states: str, step: Callable[[], Run | None] | None = None, most: int = 60) -> Run:
        """Tick until the newest run is in one of the states."""
        for _ in range(most):
            (step or self.survive)()
            run = self.newest()
            if run.state in states:
                return run
        raise AssertionError(f"the run stays {run.state}: {run.because} {run.detail.get('last_failure')}")

    def newest(self) -> Run:
        with self.ledger.engine.begin() as tx:
            return runs.runs(tx, MODEL)[0]

    def champion(self) -> str:
        with self.ledger.engine.begin() as tx:
            held = champions.champion(tx, MODEL)
        assert held is not None
        return held.version
