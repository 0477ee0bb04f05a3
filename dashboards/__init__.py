"""Grafana dashboards and Prometheus rules as code. `python -m dashboards.build` writes the committed JSON and YAML beside this file."""
