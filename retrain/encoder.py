"""Texts to vectors with any Hugging Face encoder: the process that the service starts beside itself. Torch lives here.

Over a pipe, each message one blob of msgpack: first `Wanted`, answered by `Hello`; then a list of texts, answered by `Answer`, until the
pipe closes. One thread, low priority, bounded memory; weights from safetensors only, no code of the model's folder is run, nothing is
downloaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from retrain.encoder_wire import Answer, Hello, Wanted
from retrain.types import Permanent, Reason
from retrain.weights import base_folder, weights_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PACKAGE = "package:"
_WARM_N = 8
_SAMPLE = "The parcel came two days late, and the person I talked to could not say why it had been sent to another town."
_NICENESS = 10
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_FIRST_OF_ALL = "1000"  # for the kernel, where memory runs out: this process, not the service


class Encoder:
    """One loaded encoder."""

    def __init__(self, wanted: Wanted) -> None:
        """`Permanent` when the model cannot be had or is no encoder."""
        self._wanted = wanted
        folder = folder_of(wanted.model)
        self._pooling = pooling_of(folder, wanted.pooling)
        weights = weights_digest(folder)  # refuses a folder without safetensors
        self.fingerprint = f"{weights[:16]}-{self._pooling}-{wanted.max_tokens}"
        self._model, self._tokenizer = _load(folder)
        self._most = min(wanted.max_tokens, _longest(self._model.config))
        self.dimensions = self.encode([_SAMPLE]).shape[1]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors, shape (n, d), in the order given: a function of these texts together, in this process and in a next one.

        Worked through by length, `batch_n` at once; cost: O(tokens of the longest) for each text of a batch.
        """
        import torch  # noqa: PLC0415 (a broken folder is told before the second that this takes)

        from retrain.packed import padded  # noqa: PLC0415 (as above)

        found = self._tokenizer(list(texts), truncation=True, max_length=self._most, return_attention_mask=False)["input_ids"]
        tokens: list[list[int]] = [row or [0] for row in found]
        vectors: list[Vectors | None] = [None] * len(tokens)
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), self._wanted.batch_n):
            rows = order[start : start + self._wanted.batch_n]
            asked = padded([tokens[i] for i in rows], 0)
            mask = asked["attention_mask"]
            with torch.inference_mode():
                hidden = self._model(**asked).last_hidden_state  # (B, T, d)
                pooled = hidden[:, 0] if self._pooling == "cls" else (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            for k, i in enumerate(rows):
                vectors[i] = pooled[k].float().numpy()
        made = np.stack([v for v in vectors if v is not None]).astype("<f4")
        made[~np.isfinite(made).all(axis=1)] = np.nan
        return made

    def texts_per_s(self) -> float:
        """How fast it is, by a few texts after the first have warmed it up."""
        texts = [_SAMPLE] * min(_WARM_N, self._wanted.batch_n)
        self.encode(texts)
        begun = time.perf_counter()
        self.encode(texts)
        return len(texts) / max(1e-6, time.perf_counter() - begun)


def folder_of(model: str) -> Path:
    """Where the encoder's files are; `Permanent(NOT_FOUND)` says what is missing. A hub id is looked for in the local cache only."""
    if model.startswith((_PACKAGE, "/", ".")) or Path(model).exists():
        return base_folder(model)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (hub ids only)

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (OSError, ValueError) as e:
        raise Permanent(Reason.NOT_FOUND, f"{model}: no such folder, and no such model in the local Hugging Face cache") from e


def pooling_of(folder: Path, wanted: str | None) -> str:
    """Mean | cls: what was asked for, else what the folder says of itself, else mean."""
    path = folder / "1_Pooling" / "config.json"
    if wanted is not None or not path.is_file():
        return wanted or "mean"
    try:
        said = json.loads(path.read_bytes())
    except ValueError as e:
        raise Permanent(Reason.BAD_DATA, f"{path} is no JSON: {e}") from e
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    asked = [name for name, value in said.items() if name.startswith("pooling_mode_") and value is True]
    found = [names[name] for name in asked if name in names]
    if len(asked) != 1 or not found:
        raise Permanent(Reason.BAD_DATA, f"{path} asks for {', '.join(asked) or 'no pooling'}; say `pooling: mean` or `pooling: cls`")
    return found[0]


def _load(folder: Path) -> tuple[Any, Any]:
    """(model in eval mode, tokeniser)."""
    import torch  # noqa: PLC0415 (as above)
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    rules: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **rules)
        tokenizer = AutoTokenizer.from_pretrained(folder, **rules)
    except MemoryError:
        raise
    except Exception as e:  # transformers, tokenizers and safetensors raise what they like
        raise Permanent(Reason.BAD_DATA, f"{folder} cannot be loaded: {_short(e)}") from e
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return model.eval(), tokenizer


def _longest(config: Any) -> int:  # noqa: ANN401 (transformers)
    """Tokens that the model has positions for, with room for those families that begin to count at 2."""
    found = getattr(config, "max_position_embeddings", None)
    return max(1, found - 2) if isinstance(found, int) and found > 2 else sys.maxsize  # noqa: PLR2004 (as said)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _bounded(wanted: Wanted) -> None:
    """One thread, low priority, bounded memory, the first to go where the machine's runs out. Before torch is imported."""
    os.environ.update(_ENVIRONMENT)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted.memory_bytes, wanted.memory_bytes))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_OF_ALL)


def answer(pipe: Connection) -> None:
    """Until the pipe closes. An encoder that cannot be loaded says so and ends; anything that goes wrong later ends the process."""
    wanted = msgspec.msgpack.decode(pipe.recv_bytes(), type=Wanted)
    _bounded(wanted)
    try:
        encoder = Encoder(wanted)
        hello = Hello(fingerprint=encoder.fingerprint, dimensions=encoder.dimensions, texts_per_s=encoder.texts_per_s())
    except Permanent as e:
        pipe.send_bytes(msgspec.msgpack.encode(Hello(error=e.detail or str(e))))
        return
    except (MemoryError, RuntimeError, ValueError, TypeError, ImportError) as e:
        detail = f"{wanted.model} does not work as an encoder within {wanted.memory_bytes >> 20} MiB: {_short(e)}"
        pipe.send_bytes(msgspec.msgpack.encode(Hello(error=detail)))
        return
    pipe.send_bytes(msgspec.msgpack.encode(hello))
    _serve(pipe, encoder, wanted.answer_s)


def _serve(pipe: Connection, encoder: Encoder, answer_s: float) -> None:
    decoder = msgspec.msgpack.Decoder(list[str])
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            texts = decoder.decode(pipe.recv_bytes())
            signal.alarm(max(1, round(2 * answer_s)))  # nobody ends an orphan that hangs
            begun = time.process_time()
            vectors = encoder.encode(texts)
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            pipe.send_bytes(msgspec.msgpack.encode(Answer(vectors=vectors.tobytes(), cpu_s=time.process_time() - begun, rss_bytes=rss)))
            signal.alarm(0)


if __name__ == "__main__":
    answer(Connection(int(sys.argv[1])))
