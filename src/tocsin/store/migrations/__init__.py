"""Alembic's migrations of the store. A migration never imports `tables`: it says what was true when it was written."""
