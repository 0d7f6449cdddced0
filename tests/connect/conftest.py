"""What the tests of the Neo N3 side share."""

from private_chain import private_chain

__all__ = ["private_chain"]
