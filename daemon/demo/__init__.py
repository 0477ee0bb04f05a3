"""The demo's traffic driver: YAML and HTTP are all it shares with the service."""
