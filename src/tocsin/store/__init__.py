"""Tables and migrations; implements the repositories that the rooms declare, on SQLite."""
