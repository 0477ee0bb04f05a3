"""E-processes, confidence sequences and e-detectors: those that may alarm."""
