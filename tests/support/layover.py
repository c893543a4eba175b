"""Starts the product under test: its configuration, its cache directory, readiness, an orderly or a
sudden end, its metrics, and what /proc says of its memory and processor time."""

import json
import os
import re
import signal
from pathlib import Path

from tests.support import http_client
from tests.support.processes import Process, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("LAYOVER_BINARY", ROOT / "build" / "release" / "layover"))
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            found = _SAMPLE.match(line)
            if found:
                labels = dict(_LABEL.findall(found["labels"] or ""))
                self.samples.append((found["name"], labels, float(found["value"])))

    def value(self, name, **labels):
        """The sum over all samples of this name that carry these labels; 0 where there is none."""
        return sum(value for sample, have, value in self.samples
                   if sample == name and all(have.get(k) == v for k, v in labels.items()))

    def series(self, name):
        """The values of all samples of this name, by their labels' values: "registry-a.test blob 200"."""
        return {" ".join(have.values()): value for sample, have, value in self.samples if sample == name}


class Layover:
    """`registries` is the configuration's section; `settings` is merged over everything else. The cache
    is `cache_path`, or in `directory` with the configuration and the log. Standard output goes into the log
    too, unless `stdout` is a descriptor."""

    def __init__(self, directory, registries, settings=None, default_registry=None, environment=None,
                 cache_path=None, stdout=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.cache_path = Path(cache_path) if cache_path else self.directory / "cache"
        self.config_file = self.directory / "layover.json"
        self.log = self.directory / "layover.log"
        self.port, self.default_port, self.admin_port = free_port(), free_port(), free_port()
        self.environment = dict(environment or {})
        self.stdout = stdout
        self._process = None
        self._is_ending = False  # it has been asked to end
        listeners = [{"address": f"127.0.0.1:{self.port}"}]
        if default_registry:
            listeners.append({"address": f"127.0.0.1:{self.default_port}", "default_registry": default_registry})
        self.config = _merged({
            "listen": listeners,
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "cache": {"path": str(self.cache_path)},
            "threads": 2,
            "registries": registries,
            "access": {"mode": "open"},
            "log": {"level": "debug"},
        }, settings or {})

    def start(self, timeout=10.0, environment=None):
        """Starts it and waits until it is ready; gives itself."""
        self.launch(environment)
        self._process.wait_until(self.is_ready, "layover is ready", timeout)
        return self

    def launch(self, environment=None):
        """Starts it without waiting."""
        assert self._process is None or self._process.exit_status is not None, "it runs already"
        self.config_file.write_text(json.dumps(self.config, indent=2))
        self._is_ending = False
        self._process = Process([BINARY, "serve", "-c", self.config_file], self.log,
                                env={**self.environment, **(environment or {})}, stdout=self.stdout)
        return self._process

    def is_ready(self):
        return self.admin("/readyz") == 200

    def admin(self, path):
        """The status of an admin path; None when nobody answers."""
        try:
            return http_client.fetch(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5).status
        except OSError:
            return None

    def stop(self, timeout=30.0):
        """An orderly end; anything but exit status 0 fails the test."""
        if self._process is None or self._process.exit_status is not None:
            return
        if not self._is_ending:  # a second signal would end it at once
            self.signal(signal.SIGTERM)
        status = self.wait(timeout)
        assert status == 0, f"layover ended with {status} after SIGTERM\n{self._process.tail()}"

    def kill(self):
        if self._process is not None:
            self._process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def signal(self, number):
        self._is_ending = self._is_ending or number == signal.SIGTERM
        self._process.signal(number)

    def wait(self, timeout=10.0):
        return self._process.wait(timeout)

    @property
    def pid(self):
        return self._process.pid

    @property
    def exit_status(self):
        """None while it runs; negative numbers are signals."""
        return self._process.exit_status

    @property
    def is_running(self):
        return self._process is not None and self._process.exit_status is None

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # Requests.

    def url(self, registry, path):
        """`path` is "repository/blobs/digest" and the like; the registry goes into the path."""
        return f"http://127.0.0.1:{self.port}/v2/{registry}/{path}"

    def get(self, registry, path, method="GET", headers=None, timeout=30):
        return http_client.fetch(self.url(registry, path), method, headers, timeout)

    def raw_url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def metrics(self):
        answer = http_client.fetch(f"http://127.0.0.1:{self.admin_port}/metrics")
        assert answer.status == 200, f"/metrics answered {answer.status}"
        return Metrics(answer.body.decode())

    def settle(self):
        """Waits until every download is committed or dropped: a client has its last byte before that, and
        whoever asks meanwhile is JOINED, not a HIT."""
        wait_until(lambda: self.metrics().value("layover_fills_active") == 0, "all downloads have ended")

    # What lies on the disk, and what the system says of the process.

    def stored_files(self):
        """digest -> path of every file under blobs/."""
        blobs = self.cache_path / "blobs"
        return {f"{path.parent.parent.name}:{path.name}": path for path in blobs.rglob("*") if path.is_file()}

    def partial_files(self):
        fills = self.cache_path / "fills"
        return [path for path in fills.rglob("*") if path.is_file()]

    def rss_anon(self):
        """Bytes of memory of its own; mapped files do not count."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    def cpu_seconds(self):
        return cpu_seconds(self.pid)


def cpu_seconds(pid):
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _merged(base, over):
    merged = dict(base)
    for key, value in over.items():
        is_section = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if is_section else value
    return merged
