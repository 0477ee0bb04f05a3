"""Champion and candidate, each loaded from disk, on the same rows: one row an example. What the gates and the next epoch read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrain.dataset.rows import SCHEMA, read_rows, write_rows
from retrain.evaluations import write_evaluation
from retrain.scorer import Scorer
from retrain.types import Permanent, Reason, Transient
from retrain.weights import check_weights
from retrain.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from retrain.layout import RunFolder
    from retrain.plan import Plan

__all__ = ["Scorer", "answered", "evaluate"]


def evaluate(plan: Plan, plan_folder: Path, run: RunFolder, *, stop: Callable[[], bool] = bool) -> None:
    """Write every file of `run.evaluations`, reload.json last. `stop()` True between two parts raises `Transient(INTERRUPTED)`."""
    check_weights(plan.training.base_model, plan.training.base_digest)
    facts = _candidate_facts(plan, run)
    for who in ("champion", "candidate"):
        adapter = run.adapter if who == "candidate" else _champion(plan, plan_folder)
        scorer = _load(plan, adapter, bf16=facts["bf16"])
        for part in ("gate", "old_domain"):
            if stop():
                raise Transient(Reason.INTERRUPTED, f"stopped before {part} of the {who}")
            rows = read_rows(run.dataset / f"{part}.parquet")
            write_evaluation(run.evaluation(part, who), rows, scorer.score(rows["text"].to_pylist()), scorer.labels, plan.gate.protected)
    write_rows(run.bound, answered(scorer, read_rows(run.dataset / "bound.parquet")))
    write_rows(run.reference, answered(scorer, read_rows(run.dataset / "reference_pool.parquet")))
    _write_reload(scorer, run)


def answered(scorer: Scorer, rows: pa.Table) -> pa.Table:
    """The rows with the answer of this model; `version` is null until the model has one. Labels stay."""
    scores = scorer.score([text or "" for text in rows["text"].to_pylist()])
    best = scores.argmax(axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
    said = [scorer.labels[i] for i in best]
    new = {
        "version": pa.nulls(rows.num_rows, pa.string()),
        "predicted": pa.array(said, pa.string()),
        "score": pa.array([float(scores[i, k]) for i, k in enumerate(best)], pa.float64()),
        "output": pa.array([_output(label, scorer.labels, row) for label, row in zip(said, scores, strict=True)], pa.string()),
    }
    return pa.Table.from_arrays([new.get(name, rows[name]) for name in SCHEMA.names], schema=SCHEMA)


def _output(label: str, labels: Sequence[str], scores: Iterable[float]) -> str:
    return json.dumps({"label": label, "scores": {name: float(p) for name, p in zip(labels, scores, strict=True)}})


def _load(plan: Plan, adapter: Path | None, *, bf16: bool) -> Scorer:
    part = plan.training
    return Scorer.load(part.base_model, adapter, part.labels, part.max_tokens, threads=part.threads, bf16=bf16, seed=part.seed)


def _champion(plan: Plan, plan_folder: Path) -> Path | None:
    return None if plan.champion_adapter is None else plan_folder / plan.champion_adapter


def _candidate_facts(plan: Plan, run: RunFolder) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(run.candidate_file.read_bytes())
    except (OSError, ValueError) as e:
        raise Permanent(Reason.NOT_FOUND, f"{run.candidate_file}: {e}; training is not complete") from e
    if facts["plan_digest"] != plan.digest:
        raise Permanent(Reason.CONFLICT, f"the candidate is of plan {facts['plan_digest']}, this is {plan.digest}")
    return facts


def _write_reload(scorer: Scorer, run: RunFolder) -> None:
    """How far the adapter loaded from disk is from the model that was in memory, on the same rows in the same order."""
    rows = read_rows(run.dataset / "validation.parquet")
    rows = rows if rows.num_rows else read_rows(run.dataset / "train.parquet")
    said = pq.read_table(run.check_scores)
    now = scorer.score(rows["text"].slice(0, said.num_rows).to_pylist())
    before = np.asarray(said["scores"].to_pylist(), dtype=np.float32)
    found = {
        "max_abs_score_difference": float(np.abs(now - before).max()),
        "n": len(before),
        "n_other_answers": int((now.argmax(axis=1) != before.argmax(axis=1)).sum()),
    }
    write_whole(run.reload, json.dumps(found, sort_keys=True).encode())
