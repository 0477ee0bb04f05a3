"""Which records of a model are worth a label now, and the interval that those labels would buy. Reads; keeps nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response

from daemon.show.answers import json_answer, model_of
from daemon.show.wire import to_wire
from daemon.store.rows import unlabelled
from detectors.performance.label_plan import label_plan
from detectors.types import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.settings import Settings
    from daemon.show.operations import Operations
    from daemon.show.views import ModelView
    from daemon.store.ledger import Ledger

MOST_N, MOST_RECORDS = 1000, 5000
"""Records of one plan; newest unlabelled records of the window that it chooses from."""


def label_plans(operations: Operations, settings: Settings, ledger: Ledger, now: Callable[[], float]) -> APIRouter:
    """The route."""
    router = APIRouter()
    wanted = {model.name: model.monitors for model in settings.models}

    @router.get(
        "/v1/models/{name}/label-plan", summary="Records worth a label now, each with its probability, and the interval that they would buy"
    )
    def plan(name: str, n: Annotated[int, Query(ge=1, le=MOST_N)] = 100) -> Response:
        model = model_of(operations, name)
        monitors = wanted[model.name]
        least = monitors.performance.least_label_probability if monitors.performance is not None else None
        return json_answer(_plan(model, ledger, settings.data_dir, since=now() - monitors.window_s, n=n, least=least))

    return router


def _plan(model: ModelView, ledger: Ledger, data_dir: Path, *, since: float, n: int, least: float | None) -> dict[str, Any]:
    version = model.champion.version if model.champion else None
    with ledger.read() as tx:
        limit = MOST_RECORDS if least is None else max(n, min(MOST_RECORDS, int(n / (2.0 * least))))  # no chance is below n / 2N
        table = unlabelled(tx, data_dir, model.name, since=since, version=version, limit=limit)
    ids, ats = table["id"].to_pylist(), table["at"].to_pylist()
    score = np.array([math.nan if s is None else s for s in table["score"].to_pylist()], dtype=np.float64)  # (N,)
    seed = int(digest_of(model.name, str(n), *ids[:1], *ids[-1:]), 16)  # the same records give the same plan
    found = label_plan(score, n, seed=seed, is_even=least is None)
    now, then = _reach(model), found.reach
    if now is not None:
        then = math.sqrt(1.0 / (1.0 / max(now, 1e-9) ** 2 + 1.0 / max(then, 1e-9) ** 2))
    records = [
        {"id": ids[i], "at": to_wire(ats[i], "at"), "probability": float(p)}
        for i, p in zip(found.rows.tolist(), found.probability, strict=True)
    ]
    return {
        "model": model.name,
        "version": version,
        "of": len(ids),
        "is_even": least is None,
        "records": records,
        **_words(now, then, len(records), len(ids)),
    }


def _words(now: float | None, then: float, n: int, of: int) -> dict[str, Any]:
    if not n:
        return {"reach_now": now, "reach_then": now, "because": "no record of the window waits for a label"}
    known = "not known from labels" if now is None else f"known to ±{now:.3f}"
    because = f"accuracy is {known}; {n} labels of these {of} records would make that about ±{then:.3f}"
    return {"reach_now": now, "reach_then": then, "because": because}


def _reach(model: ModelView) -> float | None:
    """Half of the accuracy's present interval, by labels; None = none has come."""
    found = {
        v.detector: v
        for v in model.verdicts
        if v.subject == "accuracy" and v.detector in {"ppi", "accuracy"} and v.outcome != "insufficient"
    }
    best = found.get("ppi") or found.get("accuracy")
    return None if best is None else 0.5 * (best.high - best.low)
