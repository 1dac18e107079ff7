"""The log of the API: one JSON object a line on standard error; no caller's text can begin a line of its own."""

import logging
import sys

import structlog


def write_logs(level: str) -> None:
    """Called once, by the process's composition root. An exception's locals are not told: they may hold a key."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,  # a test, and a server that reloads, may make another application
    )
