"""RetunedTextsNotEmbedded on the real service under a real Prometheus: one encoder of two that are killed cannot start again.

Windows and waits of the rules are a scaled of what is committed (half an hour is 30 s): `tests.alerted.scaled`.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.alerted import WATCHDOG, check_told, scaled
from tests.integration.conftest import running
from tests.integration.test_embedding import encoders
from tests.observing import drive, needs_prometheus, prometheus
from tests.tiny import make_tiny

pytestmark = [needs_prometheus, pytest.mark.prove]

LOST, SOUND = "lost", "sound"
ALERT = (LOST, "RetunedTextsNotEmbedded")
TEXTS = [f"{a} {b} film" for a in ("good", "bad", "odd", "long") for b in ("old", "new", "short", "loud")]
MODEL = """
  - name: {name}
    task: text-classification
    labels: [negative, positive]
    columns: {{text: {{kind: text, encoder: {{model: "{folder}/{name}", max_tokens: 16}}}}}}
    reference: {{kind: file, path: {folder}/{name}.jsonl}}
    monitors: {{pane_s: 1, watermark_s: 0.3, performance: null, quality: null}}
"""


def record(rng: np.random.Generator, model: str, i: int) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    said = {"id": f"{model}{i}", "model": model, "version": "1", "at": at, "inputs": {"text": str(rng.choice(TEXTS))}}
    return {**said, "output": {"label": "negative"}}


def test_texts_without_vectors_are_told_until_their_encoder_is_back(tmp_path: Path) -> None:
    rules, rng, n = tmp_path / "rules.yaml", np.random.default_rng(7), 0
    rules.write_text(scaled())
    for name in (LOST, SOUND):
        make_tiny(tmp_path / name, TEXTS)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(record(rng, name, -i)) for i in range(1, 301)))

    def post() -> None:
        nonlocal n
        service.http.post("/v1/records", json=[record(rng, name, n + i) for name in (LOST, SOUND) for i in range(5)]).raise_for_status()
        n += 5

    config = "tick_s: 0.3\nmodels:" + "".join(MODEL.format(name=name, folder=tmp_path) for name in (LOST, SOUND))
    with (
        running(tmp_path, config) as service,
        prometheus(tmp_path / "prometheus", str(service.http.base_url), rules=[rules], interval="3s") as server,
    ):
        embedded = 'count(increase(retuned_texts_total{outcome="embedded"}[30s]) > 0) == 2'
        drive(post, lambda: server.query(embedded), seconds=180, message="vectors of both")
        broken = tmp_path / LOST / "1_Pooling"
        broken.mkdir()
        (broken / "config.json").write_text('{"pooling_mode_max_tokens": true}')
        for encoder in encoders(service.process.pid):  # that of the other model starts again
            encoder.kill()
        alert = drive(post, lambda: server.firing().get(ALERT), seconds=180, message="the alert")
        check_told(alert)
        shutil.rmtree(broken)
        drive(post, lambda: ALERT not in server.firing(), seconds=600, message="its end")
        assert server.ever_fired() == {WATCHDOG, ALERT}
