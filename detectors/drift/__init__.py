"""Distances and tests between a window and a reference, one method a file."""
