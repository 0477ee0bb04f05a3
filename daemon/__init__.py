"""The monitoring service: capture, store, decide, act, show."""
