"""Realised performance from late labels."""
