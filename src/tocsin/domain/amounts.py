"""Amounts of GAS as integers of the smallest unit, never as floating-point numbers."""

import re
from dataclasses import dataclass

GAS_DECIMALS = 8
_UNIT = 10**GAS_DECIMALS
_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>\d{1,30})(?:\.(?P<fraction>\d{1,30}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Gas:
    """An amount of GAS; `fractions` counts units of 10⁻⁸ GAS. May be negative (a difference)."""

    fractions: int

    @classmethod
    def parse(cls, text: str) -> "Gas":
        """Reads a decimal number of whole GAS, such as "12.5".

        Raises:
            ValueError: not a plain decimal number, or more than eight decimals.
        """
        match = _DECIMAL.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no amount of GAS: write a decimal number such as 12.5")
        fraction = match["fraction"] or ""
        if len(fraction.rstrip("0")) > GAS_DECIMALS:
            raise ValueError(f"{text!r} has more than {GAS_DECIMALS} decimals, which GAS does not have")
        units = int(match["whole"]) * _UNIT + int(fraction[:GAS_DECIMALS].ljust(GAS_DECIMALS, "0"))
        return cls(-units if match["sign"] else units)

    def __str__(self) -> str:
        """Whole GAS as a decimal number without trailing zeros: "0", "12.5"."""
        whole, fraction = divmod(abs(self.fractions), _UNIT)
        text = f"{whole}.{fraction:0{GAS_DECIMALS}}".rstrip("0").rstrip(".")
        return f"-{text}" if self.fractions < 0 else text

    def __add__(self, other: "Gas") -> "Gas":
        return Gas(self.fractions + other.fractions)

    def __sub__(self, other: "Gas") -> "Gas":
        return Gas(self.fractions - other.fractions)
