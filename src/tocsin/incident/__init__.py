"""The incident as one total function: (state, event) → (state, commands). Pure: no I/O, no clock, no randomness."""
