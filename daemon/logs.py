"""What is logged, and how: one JSON object a line, on stderr."""

from __future__ import annotations

import sys

import structlog


def to_stderr() -> None:
    """For every command that runs the pipeline. A traceback is its lines alone: values are records, and no log is the place for them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
