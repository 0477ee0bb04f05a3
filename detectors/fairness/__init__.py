"""Group fairness by fairlearn's definitions over counts."""
