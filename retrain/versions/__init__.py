"""The model registry: the port and its MLflow adapter."""
