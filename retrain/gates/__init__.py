"""Judges of a candidate against the champion, pure, one a file."""
