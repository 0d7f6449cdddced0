"""Signals → rules → detections. Watches the chain; decides nothing about what is done with what it sees."""
