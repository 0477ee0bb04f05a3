"""Retraining as a process of its own: plan in, candidate out."""
