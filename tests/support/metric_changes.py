"""What a use of layover moves in its metrics, by two scrapes: all of a family's series that changed, so that
one that should not have is seen too."""

import re

from tests.support.processes import wait_until

# They move by themselves, or later.
_RESTLESS = re.compile(r"process_|layover_index_bytes|layover_connections")


class MetricChanges:
    """`with MetricChanges(layover, requests=2) as moved:` around the use of a layover, which is over once so
    many requests are counted and no download is running. Then `moved("layover_fills_total")` is
    {"committed": 1.0}: the labels' values, and by how much; series that have not changed are left out."""

    def __init__(self, layover, requests):
        self._layover = layover
        self._requests = requests

    def __enter__(self):
        self._before = self._layover.metrics()
        return self

    def __exit__(self, kind, *unused):
        # A client has its last byte a moment before its request is counted.
        if kind is None:
            self._after = wait_until(self._scrape_at_rest, f"{self._requests} requests are counted")

    def __call__(self, name):
        before, after = self._before.series(name), self._after.series(name)
        changes = {labels: after.get(labels, 0) - before.get(labels, 0) for labels in before | after}
        return {labels: change for labels, change in changes.items() if change != 0}

    def names(self):
        """Of all that changed, the histograms' by their counts, and but for what moves by itself."""
        names = {name for name, _, _ in self._before.samples + self._after.samples}
        return {name for name in names if self(name) and not name.endswith(("_bucket", "_sum"))
                and not _RESTLESS.match(name)}

    def _scrape_at_rest(self):
        scrape = self._layover.metrics()
        counted = (scrape.value("layover_http_requests_total")
                   - self._before.value("layover_http_requests_total"))
        return scrape if counted >= self._requests and scrape.value("layover_fills_active") == 0 else None
