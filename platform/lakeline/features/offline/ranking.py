"""One wide integer a row that is greater the more the row is to be preferred, from which event time and place can be read.

From its high end it holds the event time, the time that breaks ties, and the place in the table. The time that breaks
ties is held as its distance from the event time, which orders rows of one event time alike and takes fewer bits.
"""

from dataclasses import dataclass

WIDTH_BITS = 126
"""What a signed integer of 128 bits holds without its sign, and one to spare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How far times lie apart in a table, in microseconds.

    Attributes:
        event_min: Earliest event time.
        event_max: Latest.
        lag_min: Least distance from event time to the time that breaks ties; 0 without such a time.
        lag_max: Greatest.
    """

    event_min: int
    event_max: int
    lag_min: int = 0
    lag_max: int = 0


ANY_EVENT = Spread(event_min=-(2**61), event_max=2**61)
"""Holds every event time, so that a table without ties to break needs no look at its times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Where the parts of a rank lie.

    Attributes:
        spread: Times that the rank can hold.
        place_bits: Bits of the place.
        lag_bits: Bits of the time that breaks ties, 0 without.
    """

    spread: Spread
    place_bits: int
    lag_bits: int

    @classmethod
    def of(cls, spread: Spread, places: int, *, has_ties: bool) -> "Ranking | None":
        """The ranking for such times and that many places, or None where a rank would not hold them."""
        place_bits = max(places - 1, 1).bit_length()
        # One more than the lags need: 0 is for rows without such a time, which lose.
        lag_bits = (spread.lag_max - spread.lag_min + 1).bit_length() if has_ties else 0
        event_bits = max(spread.event_max - spread.event_min, 1).bit_length()
        fits = event_bits + lag_bits + place_bits <= WIDTH_BITS
        return cls(spread=spread, place_bits=place_bits, lag_bits=lag_bits) if fits else None

    @property
    def event_unit(self) -> int:
        """What one microsecond of event time adds to a rank."""
        return int(2 ** (self.place_bits + self.lag_bits))

    @property
    def place_unit(self) -> int:
        """What divides the place off."""
        return int(2**self.place_bits)
