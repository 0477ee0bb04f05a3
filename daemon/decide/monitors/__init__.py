"""From settings to detectors: what is watched, at which alpha; one file a group of monitors."""
