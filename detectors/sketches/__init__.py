"""Mergeable summaries: one commutative monoid a file."""
