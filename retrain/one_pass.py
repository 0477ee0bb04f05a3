"""LoRA layers that go over the tokens once: W x + b + s B (A x) by two products that add in place, not by four with copies between.

The same function and gradients as peft's layer (tests/integration/test_packed.py), which scales, adds and, under autocast, casts frozen
weights and whole activations anew for every layer and step: a fifth of a step in fp32, a half in bf16.
[Hu et al. 2021, arXiv:2106.09685: h = W x + s B A x]
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear


def in_one_pass(model: Any) -> Any:  # noqa: ANN401 (torch modules)
    """Let the model's plain LoRA layers work so; layers with dropout, or another kind of adapter, stay as they are."""
    for module in model.modules():
        if type(module) is Linear and _is_plain(module):
            vars(module)["forward"] = MethodType(_Layer(module.base_layer), module)  # torch calls it instead of the class's
    return model


def _is_plain(module: Linear) -> bool:
    return (
        len(module.active_adapters) == 1
        and not module.lora_variant
        and not any(module.lora_bias.values())
        and all(isinstance(dropout, torch.nn.Identity) for dropout in module.lora_dropout.values())
    )


class _Layer:
    """The layer's forward pass; keeps its frozen weights in bf16 once autocast asked for them."""

    def __init__(self, base: Any) -> None:  # noqa: ANN401 (torch modules)
        self.base = base
        self.frozen: dict[torch.dtype, tuple[torch.Tensor, torch.Tensor | None]] = {base.weight.dtype: (base.weight, base.bias)}

    def __call__(self, module: Linear, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401 (as peft's)
        if module.merged or module.disable_adapters or args or kwargs:
            theirs: torch.Tensor = Linear.forward(module, x, *args, **kwargs)
            return theirs
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if dtype not in self.frozen:
            weight, bias = self.base.weight, self.base.bias
            self.frozen[dtype] = (weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype))
        (name,) = module.active_adapters
        parts = (*self.frozen[dtype], module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name])
        found: torch.Tensor = _OnePass.apply(x.flatten(0, -2).to(dtype), *parts)  # type: ignore[no-untyped-call]  # torch types it not
        return found.view(*x.shape[:-1], -1)


class _OnePass(torch.autograd.Function):
    """x (n, in), W (out, in), b (out,), A (r, in), B (out, r), s -> x W' + b + s (x A') B', with gradients of x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *parts: Any) -> torch.Tensor:  # noqa: ANN401 (torch's context)
        weight, bias, a, b, ctx.scale = parts
        ctx.dtype, a, b = a.dtype, a.to(x.dtype), b.to(x.dtype)
        inner = x @ a.t()  # (n, r)
        ctx.save_for_backward(x, inner, weight, a, b)
        return torch.nn.functional.linear(x, weight, bias).addmm_(inner, b.t(), alpha=ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 (torch's context)
        (g,) = gradients
        x, inner, weight, a, b = ctx.saved_tensors
        of_inner = ctx.scale * (g @ b)
        of_x = (g @ weight).addmm_(of_inner, a) if ctx.needs_input_grad[0] else None
        of_a, of_b = of_inner.t() @ x, ctx.scale * (g.t() @ inner)
        return of_x, None, None, of_a.to(ctx.dtype), of_b.to(ctx.dtype), None
