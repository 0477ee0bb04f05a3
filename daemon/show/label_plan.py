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

    from daemon.settings import ModelSettings, Settings
    from daemon.show.operations import Operations
    from daemon.show.views import ModelView, VerdictView
    from daemon.store.ledger import Ledger

MOST_N, MOST_RECORDS = 1000, 5000
"""Records of one plan; newest unlabelled records of the window that it chooses from."""


def label_plans(operations: Operations, settings: Settings, ledger: Ledger, now: Callable[[], float]) -> APIRouter:
    """The route."""
    router = APIRouter()
    wanted = {model.name: model for model in settings.models}

    @router.get(
        "/v1/models/{name}/label-plan", summary="Records worth a label now, each with its probability, and the interval that they would buy"
    )
    def plan(name: str, n: Annotated[int, Query(ge=1, le=MOST_N)] = 100) -> Response:
        model = model_of(operations, name)
        of = wanted[model.name]
        return json_answer(_plan(model, of, ledger, settings.data_dir, since=now() - of.monitors.window_s, n=n))

    return router


def _plan(model: ModelView, of: ModelSettings, ledger: Ledger, data_dir: Path, *, since: float, n: int) -> dict[str, Any]:
    version = model.champion.version if model.champion else None
    least = of.monitors.performance.least_label_probability if of.monitors.performance is not None else None
    with ledger.read() as tx:
        limit = MOST_RECORDS if least is None else max(n, min(MOST_RECORDS, int(n / (2.0 * least))))  # no chance is below n / 2N
        table = unlabelled(tx, data_dir, model.name, since=since, version=version, limit=limit)
    ids, ats = table["id"].to_pylist(), table["at"].to_pylist()
    score = np.array([math.nan if s is None else s for s in table["score"].to_pylist()], dtype=np.float64)  # (N,)
    seed = int(digest_of(model.name, str(n), *ids[:1], *ids[-1:]), 16)  # the same records give the same plan
    found = label_plan(score, n, seed=seed, is_even=least is None)
    records = [
        {"id": ids[i], "at": to_wire(ats[i], "at"), "probability": float(p)}
        for i, p in zip(found.rows.tolist(), found.probability, strict=True)
    ]
    is_classes = of.task.endswith("classification")
    said = _accuracy(model, found.reach, len(records), len(ids)) if is_classes else _mean(model, of.metric(), len(records), len(ids))
    none = {"because": "no record of the window waits for a label"} if not records else {}
    return {"model": model.name, "version": version, "of": len(ids), "is_even": least is None, "records": records, **said, **none}


def _accuracy(model: ModelView, then: float, n: int, of: int) -> dict[str, Any]:
    """Of classes: what scores say of the answers tells what labels of them buy, before the first one is there."""
    best = _known(model, "ppi", "accuracy") or _known(model, "accuracy", "accuracy")
    now = None if best is None else _reach(best)
    if now is not None:
        then = math.sqrt(1.0 / (1.0 / max(now, 1e-9) ** 2 + 1.0 / max(then, 1e-9) ** 2))
    known = "not known from labels" if now is None else f"known to ±{now:.3f}"
    because = f"accuracy is {known}; {n} labels of these {of} records would make that about ±{then:.3f}"
    return {"figure": "accuracy", "reach_now": now, "reach_then": then, "because": because}


def _mean(model: ModelView, figure: str, n: int, of: int) -> dict[str, Any]:
    """Of numbers and judged texts: how widely losses are spread only labels say, so that none say nothing of more."""
    known = _known(model, figure, figure)
    if known is None:
        because = f"{figure} is not known from labels, nor how near {n} labels of these {of} records would bring it: some have to be there"
        return {"figure": figure, "reach_now": None, "reach_then": None, "because": because}
    now = _reach(known)
    then = now * math.sqrt(known.n / (known.n + n))
    because = f"{figure} is known to ±{now:.3g} by {known.n} labels; {n} labels of these {of} records would make that about ±{then:.3g}"
    return {"figure": figure, "reach_now": now, "reach_then": then, "because": because}


def _known(model: ModelView, detector: str, subject: str) -> VerdictView | None:
    """What labels of the window say of a figure; None = none has come, or too few."""
    return next((v for v in model.verdicts if (v.detector, v.subject) == (detector, subject) and v.outcome != "insufficient"), None)


def _reach(known: VerdictView) -> float:
    """Half of the present interval."""
    return 0.5 * (known.high - known.low)
