"""What a row is given: how much to do, and places for its files, which go when it ends."""

import shutil
import tempfile
from pathlib import Path

from tests.support import images
from tests.support.machine import large_directory

PREFIX = "layover-bench-"


class Bench:
    """`rounds` of each contender, `seconds` for a round of load. Quick: tiny sizes, and no time is judged."""

    def __init__(self, is_quick, rounds, seconds):
        self.is_quick, self.rounds, self.seconds = is_quick, rounds, seconds
        self.directory = None  # of the row that runs
        self._made = 0

    def size(self, full, quick):
        return quick if self.is_quick else full

    def new_directory(self, name):
        """A path for one server's files, not made yet."""
        self._made += 1
        return self.directory / f"{name}-{self._made}"

    @staticmethod
    def keep(stack, thing):
        """Ends it with the row; gives it back."""
        stack.callback(getattr(thing, "stop", None) or thing.remove)
        return thing

    @staticmethod
    def remove(directory):
        shutil.rmtree(directory, ignore_errors=True)

    def run(self, row):
        """The lines of one row."""
        if self.is_quick:  # in memory where that is possible: a busy disk would make it slow
            self.directory = large_directory(PREFIX, 1 << 30)
        else:
            self.directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=images.cache()))
        try:
            return row(self)
        finally:
            self.remove(self.directory)
