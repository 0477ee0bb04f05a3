"""What every part of the settings shares: how it is validated, and the types of its figures."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Word = Annotated[str, Field(min_length=1, max_length=128)]
"""Becomes part of a subject, of which the ledger keeps 256 characters."""
Ratio = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class Part(BaseModel):
    """Refuses unknown settings, never changes, documents itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
