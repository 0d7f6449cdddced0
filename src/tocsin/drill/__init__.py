"""Starts the reference platform, breaks it, lets Tocsin respond, and scores the response against the runbook."""
