"""What can be seen: exporter and API."""
