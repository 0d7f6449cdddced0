"""The command line: parses, calls, renders. It decides nothing."""
