"""Tocsin: the emergency runbook of a Neo N3 platform, run as a program."""

__version__ = "0.1.0"
