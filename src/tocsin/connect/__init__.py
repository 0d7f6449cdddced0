"""The outside world: `ports.py` says what Tocsin needs of it, the vendors beside it translate."""
