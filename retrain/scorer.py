"""A model as it is served: base plus adapter, merged, answering texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from retrain.classifier import load_base, native_bf16, probabilities, put_adapter, tokens_of, use_threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class Scorer:
    """Probabilities for texts. Loading takes about half a second for MiniLM; not safe for two threads at once."""

    def __init__(self, model: Any, tokenizer: Any, labels: Sequence[str], max_tokens: int, *, bf16: bool) -> None:  # noqa: ANN401
        self._model, self._tokenizer, self._bf16 = model.eval(), tokenizer, bf16
        self.labels, self.max_tokens = tuple(labels), max_tokens

    @classmethod
    def load(
        cls,
        base_model: str,
        adapter: Path | None,
        labels: Sequence[str],
        max_tokens: int = 96,
        *,
        threads: int | None = None,
        bf16: bool | None = None,
        seed: int = 0,
    ) -> Self:
        """From disk. `adapter` None: the bare base with a fresh head from `seed`. `bf16` None: where the machine has it."""
        use_threads(threads)
        model, tokenizer = load_base(base_model, labels, seed=seed)
        if adapter is not None:
            model = put_adapter(model, adapter).merge_and_unload()  # one matrix a layer again: 1.3x faster
        return cls(model, tokenizer, labels, max_tokens, bf16=native_bf16() if bf16 is None else bf16)

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (n, k) in the order of `labels` and of the texts."""
        if not len(texts):
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return probabilities(
            self._model, tokens_of(self._tokenizer, texts, self.max_tokens), self._tokenizer.pad_token_id or 0, bf16=self._bf16
        )

    def answer(self, texts: Sequence[str]) -> list[tuple[str, dict[str, float]]]:
        """(label, {label: probability}) of each text: what a model server says."""
        return [
            (self.labels[int(row.argmax())], {name: float(p) for name, p in zip(self.labels, row, strict=True)})
            for row in self.score(texts)
        ]
