"""What a run does in each of its states: one file a group of states."""
