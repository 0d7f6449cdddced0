"""Markdown in, typed `Runbook` out, with source positions. Pure: reads text, touches nothing."""
