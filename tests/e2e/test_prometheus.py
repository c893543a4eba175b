"""Prometheus reads /metrics and finds nothing to complain of; docs/metrics.md describes each metric that is
there and no other; its queries and the alerts of docker/ are such that Prometheus takes them."""

import re
import subprocess

import pytest

from tests.support import http_client
from tests.support.images import ROOT
from tests.support.layover import Metrics
from tests.support.processes import run, wait_until
from tests.support.prometheus import Prometheus

DOCUMENT = ROOT / "docs" / "metrics.md"
_ENTRY = re.compile(r"^- `(?P<name>\w+)` \((?P<type>\w+)(?:; (?P<labels>[^)]*))?\):", re.MULTILINE)
_QUERY = re.compile(r"^  `(.+)`$", re.MULTILINE)
_FAMILY = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)


@pytest.fixture
def used_layover(layover, upstream, seeded, skopeo):
    """One that has been asked for everything twice: each of its metrics has a series."""
    upstream.headers = [("RateLimit-Remaining", "76;w=21600")]
    for _ in range(2):
        skopeo.copy(f"127.0.0.1:{layover.port}/registry-a.test/public/app:1.0")
        layover.settle()
    return layover


@pytest.fixture
def exposition(used_layover):
    return http_client.fetch(f"http://127.0.0.1:{used_layover.admin_port}/metrics").body.decode()


@pytest.fixture
def prometheus(used_layover, tmp_path):
    watching = Prometheus(tmp_path / "prometheus", used_layover.admin_port)
    yield watching
    watching.stop()


def documented():
    """name -> (type, labels)"""
    return {entry["name"]: (entry["type"], set(re.findall(r"\w+", entry["labels"] or "")))
            for entry in _ENTRY.finditer(DOCUMENT.read_text())}


def test_promtool_has_nothing_to_say_on_the_exposition(exposition):
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_metrics_that_are_there_are_those_that_are_documented(exposition):
    families = dict(_FAMILY.findall(exposition))
    assert families == {name: kind for name, (kind, _) in documented().items()}


def test_each_metric_has_the_labels_that_are_documented(exposition):
    for name, (kind, labels) in documented().items():
        sample = f"{name}_count" if kind == "histogram" else name
        found = [set(have) for sample_name, have, _ in Metrics(exposition).samples if sample_name == sample]
        assert found and all(have == labels for have in found), name


def test_prometheus_watches_layover(used_layover, seeded, prometheus):
    wait_until(lambda: prometheus.query('up{job="layover"} == 1'), "Prometheus has scraped layover", 20)
    hits = prometheus.query('sum(layover_http_requests_total{kind="blob",cache="hit"})')
    assert hits == [({}, len(seeded.app.blob_digests()))]

    text = DOCUMENT.read_text()
    for query in _QUERY.findall(text):
        prometheus.query(query)
    assert len(_QUERY.findall(text)) == len(documented()), "each metric has a query"


def test_the_alerts_are_evaluated_and_tell_of_an_end(used_layover, prometheus):
    wait_until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules().values()), "all alerts work", 20)
    assert {rule["state"] for rule in prometheus.rules().values()} == {"inactive"}
    used_layover.stop()
    wait_until(lambda: prometheus.rules()["LayoverDown"]["state"] == "pending", "the end is noticed", 20)


def test_the_alerts_ask_for_metrics_that_there_are():
    asked = set(re.findall(r"\b(?:layover|process)_\w+", (ROOT / "docker" / "alerts.yml").read_text()))
    assert asked and asked <= set(documented())


def test_promtool_takes_the_configuration_of_the_compose_file():
    run(["promtool", "check", "config", ROOT / "docker" / "prometheus.yml"])
