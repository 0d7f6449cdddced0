"""Mitigations that people approved in advance: armed, and fired within milliseconds of a demonstrated harm."""
