"""Pure computing: drift, performance and fairness detectors over mergeable sketches. No I/O, clock, logging or global RNG."""
