"""Hypothesis as CI needs it: no time limit for one example (the machine is shared), and no folder of remembered examples in the tree."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("retuned", deadline=None, database=None)
settings.load_profile("retuned")
