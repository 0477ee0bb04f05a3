"""Passes that leave out padding and detours say what transformers' and peft's own say, values and gradients."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification

from retrain.one_pass import in_one_pass
from retrain.packed import logits_of, padded

_ROWS = {"ragged": [[5, 6, 7, 8, 9], [5], [9, 8, 7], [6, 5]], "of one length": [[5, 6, 7], [9, 8, 7]], "one": [[5, 6, 7, 8]]}
_BERT = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24}


def _adapted(base: Any, **settings: Any) -> Any:
    """The base with an adapter whose B is not zero, without dropout."""
    for module in base.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    config = LoraConfig(r=4, target_modules="all-linear", task_type=TaskType.SEQ_CLS, modules_to_save=["classifier"], **settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # peft asks by the old name
        model = get_peft_model(base, config)
    torch.manual_seed(1)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.3)
    return model


def _bert(**settings: Any) -> Any:
    torch.manual_seed(0)
    return _adapted(BertForSequenceClassification(BertConfig(**_BERT, num_labels=3)), **settings)


def _gradients(model: Any, logits: Any) -> dict[str, Any]:
    model.zero_grad()
    torch.nn.functional.cross_entropy(logits.float(), torch.arange(len(logits)) % 3).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("shape", _ROWS)
@pytest.mark.parametrize("bf16", [False, True])
def test_values_and_gradients_are_those_of_the_padded_pass(shape: str, *, bf16: bool) -> None:
    rows = _ROWS[shape]
    theirs, ours = _bert(), in_one_pass(_bert())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        expected, found = theirs(**padded(rows, 0)).logits, logits_of(ours, rows, 0)
    tolerance = {"rtol": 0.1, "atol": 0.03} if bf16 else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(found.float(), expected.float(), **tolerance)
    gradients = _gradients(theirs, expected)
    assert any(g.abs().max() > 1e-3 for g in gradients.values())
    for name, gradient in _gradients(ours, found).items():
        torch.testing.assert_close(gradient, gradients[name], **tolerance)


def test_another_architecture_takes_the_padded_pass() -> None:
    torch.manual_seed(0)
    base = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=12, dim=16, n_layers=2, n_heads=4, hidden_dim=24))
    model = base.eval()
    torch.testing.assert_close(logits_of(model, _ROWS["ragged"], 0), model(**padded(_ROWS["ragged"], 0)).logits)


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}])
def test_other_adapters_are_left_to_peft(settings: dict[str, Any]) -> None:
    model = in_one_pass(_bert(**settings))
    assert not [name for name, module in model.named_modules() if "forward" in vars(module)]


def test_a_merged_layer_is_not_adapted_twice() -> None:
    model = in_one_pass(_bert()).eval()
    with torch.no_grad():
        apart = logits_of(model, _ROWS["ragged"], 0)
        model.merge_adapter()
        torch.testing.assert_close(logits_of(model, _ROWS["ragged"], 0), apart, rtol=1e-4, atol=1e-5)
