"""What `retuned check` says is watched, with its rate of false alarms and what it would see."""
