"""A real Prometheus with the configuration of docker/, on a free port, its data in a directory."""

import json
import shutil
import urllib.parse

from tests.support import http_client
from tests.support.images import ROOT
from tests.support.processes import Process, free_port


class Prometheus:
    """Watches the layover whose admin listener has this port, and evaluates the alerts, each second."""

    def __init__(self, directory, admin_port):
        directory.mkdir()
        config = (ROOT / "docker" / "prometheus.yml").read_text()
        for shipped, here in (("layover:5001", f"127.0.0.1:{admin_port}"), ("15s", "1s")):
            assert shipped in config
            config = config.replace(shipped, here)
        (directory / "prometheus.yml").write_text(config)
        shutil.copy(ROOT / "docker" / "alerts.yml", directory)
        self.port = free_port()
        self._process = Process(
            ["prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], directory / "prometheus.log")
        self._process.wait_until(self._is_ready, "Prometheus is ready", 30)

    def query(self, expression):
        """The series that an expression gives now, as [(labels, value)]; what is no expression fails."""
        data = self._get(f"query?query={urllib.parse.quote(expression)}")
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def rules(self):
        """The alerts by name, as /api/v1/rules has them."""
        return {rule["name"]: rule for group in self._get("rules")["groups"] for rule in group["rules"]}

    def stop(self):
        self._process.stop()

    def _is_ready(self):
        try:
            return http_client.fetch(f"http://127.0.0.1:{self.port}/-/ready").status == 200
        except OSError:
            return False

    def _get(self, path):
        answer = json.loads(http_client.fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}").body)
        assert answer["status"] == "success", f"{path}: {answer}"
        return answer["data"]
