"""Evidently's HTML report of an incident: the window before it against the epoch's reference, written by a worker process.

    python -m daemon.act.report REQUEST.json

Evidently takes 3-9 s and 280 MB to import: never in the service. The service writes what it compares, starts the worker through the
executor and links the file from the incident when it is there.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.act.executors.port import Executor, JobSpec, JobState
from daemon.act.outbox import Unfinished
from daemon.settings import ModelSettings, Settings
from daemon.store import epochs, incidents, rows
from daemon.store.reference import load_reference
from detectors.types import ColumnKind, Reference
from retrain.dataset.rows import write_rows
from retrain.types import Permanent, Reason, Transient
from retrain.whole import write_whole

if TYPE_CHECKING:
    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message

MOST_ROWS = 5_000
"""Of each side: Evidently needs 2.5 s for 10,000 rows and never ends on a million."""
_DEADLINE_S = 600.0
_LOOK_S = 2.0
_MOST_ATTEMPTS = 3
_MOST_AT_ONCE = 2
"""Workers: an upstream fault opens an incident of every model in one tick, and 280 MB each would be the end of a small machine."""


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Outbox kind "report": payload {incident, epoch, version}."""

    settings: Settings
    ledger: Ledger
    executor: Executor
    _running: set[str] = field(default_factory=set)
    """Keys of the workers that were seen running last."""

    def deliver(self, message: Message, _now: float) -> Unfinished | None:
        """Start the worker, look at it, link its file; each step repeats safely."""
        data_dir, name = self.settings.data_dir, f"{message.payload['incident']}.html"
        target = data_dir / "reports" / message.model / name
        if not target.exists():
            unfinished = self._work(message, target)
            if unfinished is not None:
                return unfinished
        with self.ledger.begin() as tx:
            incidents.attach_report(tx, message.payload["incident"], str(target.relative_to(data_dir)))
        return None

    def _work(self, message: Message, target: Path) -> Unfinished | None:
        folder = self.settings.data_dir / "reports" / message.model / "jobs"
        for attempt in range(_MOST_ATTEMPTS):
            key = f"{message.payload['incident']}.report-{attempt}"
            request = folder / f"{key}.json"
            if key not in self._running and len(self._running) >= _MOST_AT_ONCE:
                return Unfinished(after_s=_LOOK_S)
            if not request.exists():
                self._request(message, request, target)
            handle = self.executor.submit(self._spec(key, folder, request))
            status = self.executor.poll(handle)
            if status.state is not JobState.DONE:
                self._running.add(key)
                return Unfinished(after_s=_LOOK_S)
            self._running.discard(key)
            if status.code == 0 and target.exists():
                return None
        raise Permanent(Reason.CRASHED, f"the report failed {_MOST_ATTEMPTS} times: {self.executor.logs(handle, most_bytes=500).strip()}")

    def _spec(self, key: str, folder: Path, request: Path) -> JobSpec:
        env = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = (sys.executable, "-P", "-m", "daemon.act.report", str(request.resolve()))
        return JobSpec(key=key, command=command, folder=folder, env=env, deadline_s=_DEADLINE_S, niceness=10)

    def _request(self, message: Message, request: Path, target: Path) -> None:
        """What the worker compares: the rows of one window up to the incident, and where the reference is."""
        model = self.settings.model(message.model)
        if model is None:
            raise Permanent(Reason.NOT_FOUND, f"{message.model} is not in the settings any more")
        data_dir, payload = self.settings.data_dir, message.payload
        with self.ledger.read() as tx:
            incident = incidents.incident(tx, payload["incident"])
            epoch = epochs.epoch(tx, message.model, payload["epoch"])
            if incident is None or epoch is None or epoch.reference_path is None:
                raise Permanent(Reason.NOT_FOUND, f"incident {payload['incident']} or its reference is not in the ledger")
            span = {"since": incident.opened_at - model.monitors.window_s, "version": payload["version"], "limit": MOST_ROWS}
            found = [read(tx, data_dir, message.model, **span) for read in (rows.labelled, rows.unlabelled)]
        import pyarrow as pa  # noqa: PLC0415 (once an incident)

        table = pa.concat_tables(found)
        if table.num_rows == 0:
            raise Transient(Reason.NOT_ENOUGH_LABELS, "no sampled rows in the window yet", retry_after_s=30.0)
        current = request.with_suffix(".parquet")
        write_rows(current, table.slice(0, MOST_ROWS))
        body = {
            "model": model.model_dump(mode="json"),
            "reference": str((data_dir / epoch.reference_path).resolve()),
            "current": str(current.resolve()),
            "target": str(target.resolve()),
        }
        write_whole(request, json.dumps(body).encode())


def main(request: Path) -> None:
    """The worker: both sides as data frames, Evidently's drift preset, one HTML file, whole or not at all."""
    body: dict[str, Any] = json.loads(request.read_bytes())
    model = ModelSettings.model_validate(body["model"])
    reference_path, target = Path(body["reference"]), Path(body["target"])
    records = reference_path / "records.parquet" if reference_path.is_dir() else reference_path
    reference, current = load_reference(model, records, None), load_reference(model, Path(body["current"]), None)
    shared = sorted(set(reference.kinds) & set(current.kinds))
    html = target.with_suffix(".part")
    write_html(frame(reference, shared), frame(current, shared), {s: reference.kinds[s] for s in shared}, html)
    html.replace(target)


def frame(of: Reference, subjects: list[str]) -> Any:  # noqa: ANN401 (pandas ships no types)
    """One side as a data frame of at most 5,000 rows; a text as its length (Evidently's text drift takes 10 s), no embeddings."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 (the worker's; pandas ships no types)

    columns = {}
    for subject in subjects:
        values = of.columns[subject][-MOST_ROWS:]
        if of.kinds[subject] is ColumnKind.EMBEDDING:
            continue
        if of.kinds[subject] is ColumnKind.TEXT:
            columns[f"{subject} (characters)"] = [None if v is None else float(len(v)) for v in values]
        else:
            columns[subject] = values.tolist()
    return pd.DataFrame(columns)


def write_html(reference: Any, current: Any, kinds: dict[str, ColumnKind], path: Path) -> None:  # noqa: ANN401 (as above)
    """Evidently's data drift preset over the columns that hold a value on both sides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # evidently 0.7 imports deprecated names
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 (the worker's)
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        usable = [c for c in reference.columns if reference[c].notna().any() and current[c].notna().any()]
        if not usable:
            raise Permanent(Reason.BAD_DATA, "no column holds a value on both sides")
        categories = [c for c in usable if kinds.get(c) is ColumnKind.CATEGORY]
        definition = DataDefinition(numerical_columns=[c for c in usable if c not in categories], categorical_columns=categories)
        sides = [Dataset.from_pandas(side[usable], data_definition=definition) for side in (current, reference)]
        Report([DataDriftPreset()]).run(*sides).save_html(str(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
