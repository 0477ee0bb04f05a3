"""Settings, read whole and checked before anything starts."""
