"""Vanilla LoRA on all linear layers.  [Hu et al. 2021, arXiv:2106.09685; all layers after Schulman et al. 2025, "LoRA Without Regret"].

W x + (alpha / r) B A x with A: (r, in), B: (out, r); B starts at zero, so training starts from the base. alpha = 2 r. The head is trained
whole. Cost: r (in + out) parameters a layer (677 k for MiniLM at r = 16), no time when merged.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from peft import LoraConfig, TaskType, get_peft_model

if TYPE_CHECKING:
    from retrain.plan import TrainingPart


def attach(model: Any, part: TrainingPart) -> Any:  # noqa: ANN401 (torch modules carry no useful type)
    """The model with fresh adapters and a trainable head; everything else is frozen."""
    config = LoraConfig(
        r=part.rank,
        lora_alpha=2 * part.rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type=TaskType.SEQ_CLS,
        modules_to_save=["classifier"],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # peft asks by the old name
        return get_peft_model(model, config)
