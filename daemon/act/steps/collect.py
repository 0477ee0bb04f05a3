"""planned → collecting → dataset: the plan is written, then labels are waited for until the gate has what its power asks for."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from daemon.act.step import Move, Ports, Task, registry
from daemon.decide.run import State
from daemon.store import epochs, runs
from retrain.dataset.build import moment
from retrain.dataset.rows import read_rows, text_digests, write_rows
from retrain.dataset.split import progress, wanted
from retrain.gates.power import PLANNED_DISCORDANT_RATIO, smallest_gain
from retrain.plan import DataPart, GatePart, Plan, TrainingPart, Trigger, read_plan
from retrain.types import Permanent, Reason
from retrain.weights import base_folder, weights_digest
from retrain.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from retrain.layout import RunFolder

_POWER = 0.8
_LOOK_RATIO = 10.0
"""The next look at the labels comes after ten times what the last one took: a tenth of the time at most."""


class Collecting:
    """Holds nothing but caches: when to look again, and what the data set leaves out."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._next_look: dict[str, float] = {}
        self._known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def plan(self, task: Task) -> Move:
        """Fetch the champion's adapter and write the plan once: everything that is judged later is fixed here."""
        path = self._ports.plan_path(task.run)
        if not path.exists():
            write_whole(path, _plan(self._ports, task).to_json())
        plan = read_plan(path)  # what was written before a crash holds
        needed = ", ".join(f"{n} {name}" for name, n in wanted(plan.data).items())
        gain = smallest_gain(n=plan.data.gate_n, discordant_ratio=PLANNED_DISCORDANT_RATIO, alpha=plan.gate.alpha, power=_POWER)
        because = f"waits for labelled rows ({needed}); with power {_POWER:g} the gate sees a gain of {gain:.3f}"
        return Move(state=State.COLLECTING, because=because, detail={"plan_digest": plan.digest, "smallest_gain": gain})

    def collect(self, task: Task) -> Move | None:
        """Count labels; complete: write the rows and go on; at the deadline: inconclusive, told, not repeated."""
        run, plan = task.run, self._ports.plan(task.run)
        overdue = task.now - run.entered_at >= task.settings.collect_deadline_h * 3600.0
        started = time.monotonic()
        if not overdue and started < self._next_look.get(run.id, 0.0):
            return None
        table = self._labelled(task)
        known = table.filter(pc.is_in(table["label"], pa.array(plan.training.labels)))  # as the data set will leave them out
        exclude, train_only = self._left_out(run.id, self._ports.folder(run).root, plan)
        counts = progress(known, plan.data, moment(plan.created_at), exclude=exclude, train_only=train_only)
        self._keep(task, counts)
        ended = time.monotonic()
        self._next_look[run.id] = ended + _LOOK_RATIO * (ended - started)
        said = ", ".join(f"{have}/{want} {name}" for name, (have, want) in counts.items())
        if all(have >= want for have, want in counts.values()):
            self._write(task, table)
            return Move(state=State.DATASET, because=f"labels are complete ({said})")
        if overdue:
            return Move(state=State.INCONCLUSIVE, because=f"too few labels by the deadline ({said})", tell=True)
        return None

    def _labelled(self, task: Task) -> pa.Table:
        with self._ports.ledger.read() as tx:
            return self._ports.rows.labelled(tx, task.run.model, since=task.run.detail["since"])

    def _keep(self, task: Task, counts: dict[str, tuple[int, int]]) -> None:
        detail = {"collected": {name: list(pair) for name, pair in counts.items()}}
        if detail["collected"] != task.run.detail.get("collected"):
            with self._ports.ledger.begin() as tx:
                runs.keep(tx, task.run.id, expected=task.run.state, detail=detail)

    def _write(self, task: Task, table: pa.Table) -> None:
        """Repeated after a crash: then with the rows that have come since."""
        with self._ports.ledger.read() as tx:
            rest = self._ports.rows.unlabelled(tx, task.run.model, since=task.run.created_at)
        folder = self._ports.folder(task.run).root
        write_rows(folder / "unlabelled.parquet", rest)
        write_rows(folder / "collected.parquet", table)
        self._next_look.pop(task.run.id, None)
        self._known.pop(task.run.id, None)

    def _left_out(self, run_id: str, root: Path, plan: Plan) -> tuple[frozenset[str], frozenset[str]]:
        """(text digests that the data set leaves out, clusters that may only train), so that they are not counted as collected."""
        if run_id not in self._known:
            replay = [read_rows(root / plan.data.replay)] if plan.data.replay else []
            files = [*plan.data.sealed, *([plan.data.old_domain] if plan.data.old_domain else [])]
            tables = [*replay, *(read_rows(root / name) for name in files)]
            digests = frozenset(digest for table in tables for digest in text_digests(table))
            clusters = frozenset(c for table in replay for c in table["cluster"].to_pylist() if c is not None)
            self._known[run_id] = (digests, clusters)
        return self._known[run_id]


def _plan(ports: Ports, task: Task) -> Plan:
    run, rules = task.run, task.settings
    if not task.model.labels:
        raise Permanent(Reason.BAD_PLAN, "a classifier is trained: the model's settings need `labels`")
    with registry(task):
        found = ports.versions.find(run.model, run.champion_version)
    if found is None:
        raise Permanent(Reason.NOT_FOUND, f"version {run.champion_version} of {run.model} is not in the registry: nothing to compare with")
    with registry(task):
        adapter = ports.versions.fetch(run.model, run.champion_version, (ports.data_dir / "adapters").resolve())
    folder = ports.folder(run)
    return Plan(
        run_id=run.id,
        model=run.model,
        champion_version=run.champion_version,
        champion_adapter=copied(adapter, folder, "champion"),
        trigger=_trigger(run),
        data=_data(ports, task),
        training=TrainingPart(
            base_model=rules.base_model,
            base_digest=weights_digest(base_folder(rules.base_model)),
            technique=rules.technique,
            labels=tuple(task.model.labels),
            epochs=rules.epochs,
            learning_rate=rules.learning_rate,
            rank=rules.rank,
            max_tokens=rules.max_tokens,
            seed=rules.seed,
            threads=rules.threads,
        ),
        gate=GatePart(
            alpha=rules.alpha,
            old_domain_margin=rules.old_domain_margin,
            group_margin=rules.group_margin,
            group_min_n=rules.group_min_n,
            protected=tuple(task.model.protected()),
        ),
        created_at=_iso(run.created_at),
    )


def _trigger(run: runs.Run) -> Trigger:
    why = run.trigger
    return Trigger(
        subject=why["subject"], detector=why["detector"], because=why["because"], at=_iso(why["at"]), incident=why.get("incident")
    )


def _data(ports: Ports, task: Task) -> DataPart:
    rules, n, folder = task.settings, task.settings.data, ports.folder(task.run)
    return DataPart(
        collected="collected.parquet",
        unlabelled="unlabelled.parquet",
        replay=copied(rules.replay, folder, "replay") if rules.replay and n.replay_n else None,
        old_domain=copied(rules.old_domain, folder, "old_domain") if rules.old_domain else None,
        sealed=tuple(copied(path, folder, f"sealed-{i}") for i, path in enumerate(_sealed_files(ports, task))),
        train_n=n.train_n,
        validation_n=n.validation_n,
        gate_n=n.gate_n,
        bound_n=n.bound_n,
        replay_n=n.replay_n if rules.replay else 0,
        salt=task.run.detail["salt"],
    )


def _sealed_files(ports: Ports, task: Task) -> list[Path]:
    """The champion's loss bound: rows that must never train. A file in another shape than the log's rows cannot be compared by text."""
    with ports.ledger.read() as tx:
        held = epochs.epoch(tx, task.run.model, task.champion.epoch)
    candidates = [task.model.reference.bound] if task.model.reference.bound else []
    if held is not None and held.reference_path is not None:
        candidates.append(ports.data_dir / held.reference_path / "bound.parquet")
    found = []
    for path in candidates:
        try:
            read_rows(path)
        except Permanent:
            continue
        found.append(path)
    return found


def copied(source: Path, folder: RunFolder, name: str) -> str:
    """A file or folder that the plan names, copied into the run's folder as it is now; its path there, relative."""
    target = folder.inputs / (name if source.is_dir() else f"{name}{source.suffix}")
    part = target.with_name(f".{target.name}.part")
    folder.inputs.mkdir(parents=True, exist_ok=True)
    for old in (part, target):  # of an attempt that was killed
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, part)
    else:
        shutil.copyfile(source, part)
    part.rename(target)
    return str(target.relative_to(folder.root))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
