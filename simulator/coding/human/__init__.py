"""People as coders: samples with known inclusion probabilities, blind sheets, and the way back into a run."""
