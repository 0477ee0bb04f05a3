"""The weighted conformal martingales of answers that are numbers, and of answers that somebody judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.registry import register
from detectors.sequential.conformal_given_inputs import ConformalGivenInputs, ConformalInputs
from detectors.sequential.loss import Loss
from detectors.types import Eats


class _OfNumbers:
    """What is common to both martingales of numbers."""

    loss: ClassVar[Loss] = Loss.ABSOLUTE_ERROR
    loss_name: ClassVar[str] = "absolute error (clipped)"
    least_weighted_n: ClassVar[int] = 128
    right_name: ClassVar[str] = "values"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES, Eats.TABLE})


class _OfJudgements:
    """What is common to both martingales of judged answers."""

    loss: ClassVar[Loss] = Loss.QUALITY
    loss_name: ClassVar[str] = "loss (1 less the judgement)"
    least_weighted_n: ClassVar[int] = 128
    right_name: ClassVar[str] = "judgements"
    right: ClassVar[str] = "how answers are judged (what is right, or the judge) for"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY, Eats.TABLE})


@register("conformal_inputs_value")
@dataclass(frozen=True, kw_only=True)
class ConformalInputsValue(_OfNumbers, ConformalInputs):
    """Of numbers: the loss to expect is the absolute error, clipped at the largest one of a fifth of the bound rows."""


@register("conformal_given_inputs_value")
@dataclass(frozen=True, kw_only=True)
class ConformalGivenInputsValue(_OfNumbers, ConformalGivenInputs):
    """Of numbers: by how much the right one is above the answer, ranked among those of the same inputs and answer.

    Whether the distribution of what is right moved alone is not told apart: without classes there is nothing finite within which ranks
    would be exact. It moves what is right for an input as well, and is called that.
    """


@register("conformal_inputs_judged")
@dataclass(frozen=True, kw_only=True)
class ConformalInputsJudged(_OfJudgements, ConformalInputs):
    """Of judged answers: the loss to expect is 1 less the judgement."""


@register("conformal_given_inputs_judged")
@dataclass(frozen=True, kw_only=True)
class ConformalGivenInputsJudged(_OfJudgements, ConformalGivenInputs):
    """Of judged answers: the judgement, ranked among those of the same inputs; another judge is seen as well, and not told apart."""
