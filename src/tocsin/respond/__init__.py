"""Runs actions for people and policies: the durable procedure runner, approvals, and the verbs of an incident."""
