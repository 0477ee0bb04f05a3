"""Recorded traffic through the pipeline on a virtual clock."""
