"""A category as text, by one rule for references, traffic, groups and gates.

A figure that is whole has no point: pandas writes the 1 of a column with gaps as 1.0, and so does a sender that knows floats only. What was
sent as text is never touched: the version "1.10" is not "1.1", and "1.0" is not "1".
"""

from __future__ import annotations

import math
from decimal import Decimal

_WHOLE_BELOW = 2.0**63
"""Integers of records end there; a larger float is written as a float."""


def as_category(value: object) -> str | None:
    """1, 1.0 and -0.0 are "1", "1" and "0"; 1.5 is "1.5", True is "True", a text is itself. None: none, NaN or infinite."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE_BELOW else str(value)
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value == value.to_integral_value() else as_category(float(value))
    return str(value)
