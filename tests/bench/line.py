"""One line of the table: what was measured of us and of a peer in the same rounds, and what is to be reached."""

import statistics
from dataclasses import dataclass, field

RATIO, DIFFERENCE, VALUE = "ratio", "difference", "value"


def readable(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Target:
    """`how` says of what the limit is: of our median over the peer's, of the one less the other, or of ours alone."""
    limit: float
    at_least: bool
    how: str = RATIO

    def __str__(self):
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}" + ("x" if self.how == RATIO else "")


def at_least(limit, how=RATIO):
    return Target(limit, True, how)


def at_most(limit, how=RATIO):
    return Target(limit, False, how)


@dataclass
class Line:
    """`samples` has each contender's value of each round. Of several peers the better one counts. `notes` says
    what a reader of the figure has to know."""
    title: str
    unit: str
    samples: dict
    target: Target
    peers: tuple = ()
    ours: str = "layover"
    notes: list = field(default_factory=list)

    def median(self, name):
        return statistics.median(self.samples[name])

    @property
    def value(self):
        return self.median(self.ours)

    @property
    def peer(self):
        """The one that ours is compared with; None where it stands alone."""
        best = max if self.target.at_least else min
        return best(self.peers, key=self.median) if self.peers else None

    @property
    def figure(self):
        """What the target is about."""
        if self.target.how == VALUE:
            return self.value
        theirs = self.median(self.peer)
        if self.target.how == DIFFERENCE:
            return self.value - theirs
        return self.value / theirs if theirs else float("inf")

    @property
    def is_reached(self):
        return self.figure >= self.target.limit if self.target.at_least else self.figure <= self.target.limit

    def spread(self, name):
        """(least, median, most) of a contender."""
        values = self.samples[name]
        return min(values), self.median(name), max(values)
