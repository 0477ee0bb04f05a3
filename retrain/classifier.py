"""The base model with a head, an adapter on it, and texts as batches that waste little padding. Torch lives here, in loop and evaluate."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers: nothing here is ever downloaded
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that spin beside other work take four times as long (measured)

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from retrain.packed import logits_of
from retrain.types import Permanent, Reason
from retrain.weights import base_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ADAPTER_WEIGHTS = "adapter_model.safetensors"
SCORE_BATCH_N = 64


def load_base(base_model: str, labels: Sequence[str], *, seed: int) -> tuple[Any, Any]:
    """(model with a fresh head drawn from `seed`, tokeniser)."""
    folder = base_folder(base_model)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(labels), use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # an adapter is small enough not to need it; with it attention takes a slow path: a sixth of a step
    return model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def put_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:  # noqa: ANN401 (torch modules)
    """The model with the adapter of `folder` on it. Weights are read from safetensors only."""
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise Permanent(Reason.NOT_FOUND, f"{folder}: no {ADAPTER_WEIGHTS} (pickled adapters are not read)")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # peft asks by the old name
        return PeftModel.from_pretrained(model, folder, is_trainable=trainable)


def save_adapter(model: Any, folder: Path, base_model: str) -> None:  # noqa: ANN401 (torch modules)
    """Write adapter and head: safetensors plus a configuration with equal bytes for equal settings, and no machine's paths."""
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / ADAPTER_WEIGHTS).chmod(0o644)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_bytes()) | {"base_model_name_or_path": base_model}
    for name in ("target_modules", "modules_to_save"):  # sets: their order changes from process to process
        if isinstance(config.get(name), list):
            config[name] = sorted(set(config[name]))
    path.write_text(json.dumps(config, indent=2, sort_keys=True))


def use_threads(n: int | None) -> None:
    """Work with so many threads; None = as many as the machine has cores."""
    if n is not None:
        torch.set_num_threads(n)


def native_bf16() -> bool:
    """Whether bf16 saves time here. Without the instructions it is emulated and ten times slower than fp32 (measured)."""
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))


def tokens_of(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:  # noqa: ANN401 (transformers)
    """Token ids of each text, cut at `max_tokens`, unpadded."""
    if not texts:
        return []
    found: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_tokens, return_attention_mask=False)["input_ids"]
    return found


def probabilities(model: Any, tokens: Sequence[Sequence[int]], pad: int, *, bf16: bool) -> NDArray[np.float32]:  # noqa: ANN401
    """Class probabilities, shape (n, k), in the order given; worked through sorted by length. The model must be in eval mode."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    found = np.zeros((len(tokens), model.config.num_labels), dtype=np.float32)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(order), SCORE_BATCH_N):
            part = order[start : start + SCORE_BATCH_N]
            logits = logits_of(model, [tokens[i] for i in part], pad)
            found[part] = logits.float().softmax(-1).numpy()
    return found
