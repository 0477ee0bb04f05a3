"""Pure decisions: policy, incidents, the run's transition table."""
