"""Benchmarks: what Tocsin promises about speed, measured beside its floor in the same run. `make bench` runs them."""
