"""The catalogue of actions: typed verbs with preflight, run, verify and compensate."""
