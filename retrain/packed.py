"""BERT's forward pass on the tokens alone: linear layers never see padding, and the last layer works for the first token only.

The head reads nothing but the last layer's first token, so of that layer the other positions need keys and values and no more: of six
layers a seventh of all products, forward and backward. The figures are those of the padded pass (tests/integration/test_packed.py).
Another architecture takes the padded pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Sequence


def logits_of(model: Any, tokens: Sequence[Sequence[int]], pad: int) -> torch.Tensor:  # noqa: ANN401 (torch modules)
    """What the model's head says of each row of token ids: (B, k)."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if type(base).__name__ != "BertForSequenceClassification" or base.config.is_decoder:
        logits: torch.Tensor = model(**padded(tokens, pad)).logits
        return logits
    return _packed(base, tokens)


def padded(tokens: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """Model inputs padded to the longest of THIS batch: input_ids, attention_mask, both (B, T)."""
    longest = max(len(ids) for ids in tokens)
    ids = torch.full((len(tokens), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(tokens), longest), dtype=torch.long)
    for i, row in enumerate(tokens):
        ids[i, : len(row)] = torch.as_tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _packed(base: Any, tokens: Sequence[Sequence[int]]) -> torch.Tensor:  # noqa: ANN401 (torch modules)
    rows = _Rows(tokens)
    x = base.bert.embeddings(rows.ids[None], position_ids=rows.positions[None])[0]  # (all tokens, width)
    *layers, last = base.bert.encoder.layer
    for layer in layers:
        x = _layer(layer, rows, x, x)
    x = _layer(last, rows, x, x[rows.first])  # (B, width)
    logits: torch.Tensor = base.classifier(base.dropout(base.bert.pooler(x[:, None])))
    return logits


def _layer(layer: Any, rows: _Rows, x: torch.Tensor, asking: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 (torch modules)
    """One layer's answer for `asking`: all tokens of x, or the first one of each row."""
    by = layer.attention.self
    is_all = asking is x
    query, heads = by.query(asking), by.num_attention_heads
    q = rows.spread(query, heads) if is_all else query.view(len(asking), 1, heads, -1).transpose(1, 2)
    k, v = rows.spread(by.key(x), heads), rows.spread(by.value(x), heads)
    dropout = by.dropout.p if by.training else 0.0
    with torch.autocast("cpu", enabled=False):  # in bf16 this one product is many times slower than in fp32 (measured)
        found = scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=rows.mask, dropout_p=dropout, scale=by.scaling)
    found = found.transpose(1, 2).flatten(2)  # (B, T or 1, width)
    attended = layer.attention.output(rows.gather(found) if is_all else found[:, 0], asking)
    answer: torch.Tensor = layer.output(layer.intermediate(attended), attended)
    return answer


class _Rows:
    """Rows of token ids laid end to end, and where each token stands in the padded (B, T)."""

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        lengths = torch.tensor([len(row) for row in tokens])
        self.shape = (len(tokens), int(lengths.max()))
        steps = torch.arange(self.shape[1]).expand(self.shape)
        is_token = steps < lengths[:, None]
        self.ids = torch.tensor([i for row in tokens for i in row])
        self.positions = steps[is_token]
        self.first = lengths.cumsum(0) - lengths
        self.at = is_token.flatten().nonzero()[:, 0]
        self.is_full = bool(is_token.all())
        self.mask = None if self.is_full else is_token[:, None, None]

    def spread(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        """(tokens, width) to (B, heads, T, width / heads); zero where there is no token."""
        n, longest = self.shape
        if not self.is_full:
            x = x.new_zeros(n * longest, x.shape[1]).index_copy(0, self.at, x)
        return x.view(n, longest, heads, -1).transpose(1, 2)

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, width) to (tokens, width)."""
        x = x.flatten(0, 1)
        return x if self.is_full else x.index_select(0, self.at)
