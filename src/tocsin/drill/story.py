"""How a drill tells what is happening: a narrator that the doors implement. The drill decides what is worth saying."""

from enum import StrEnum
from typing import Protocol

from tocsin.domain.amounts import Gas


class Voice(StrEnum):
    """Who a sentence is about, so that it can be shown accordingly."""

    STAGE = "stage"
    ATTACKER = "attacker"
    TOCSIN = "tocsin"
    PEOPLE = "people"
    USERS = "users"


class Narrator(Protocol):
    """Shows a drill to whoever watches."""

    def say(self, voice: Voice, sentence: str) -> None:
        """Something happened."""
        ...

    def pot(self, *, protected: bool, left: Gas, full: Gas) -> None:
        """How much the attacked contract still holds, on the chain with Tocsin or on the one without."""
        ...


class Silent:
    """A narrator for scripts and tests."""

    def say(self, voice: Voice, sentence: str) -> None:
        pass

    def pot(self, *, protected: bool, left: Gas, full: Gas) -> None:
        pass
