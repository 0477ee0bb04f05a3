"""Long lists of subjects, as a person reads them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 12


def listed(subjects: Iterable[str]) -> str:
    """As in "input.age, risk, input.age[shop=fr]": at most 12 and how many more there are; what is of all records comes before segments."""
    found = sorted(subjects, key=is_of_segment)
    more = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f" and {more} more" if more > 0 else "")


def is_of_segment(subject: str) -> bool:
    """As "risk[shop=fr]" is."""
    return subject.endswith("]")
