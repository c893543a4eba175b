"""Tags and their time, against a real registry behind TLS and tokens: within it they cost nothing, after it
one HEAD however many ask, and what has changed upstream shows."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.processes import wait_until

REGISTRY = "registry-a.test"
REPOSITORY = "public/fresh"
TTL = 2


@pytest.fixture
def fresh(start_layover, site_a, upstream):
    return start_layover({REGISTRY: site_a.settings(upstream, tag_ttl=f"{TTL}s", not_found_ttl="1s")})


@pytest.fixture
def image(site_a, random_bytes):
    return site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(1000)])


def get(layover, reference="1.0"):
    return layover.get(REGISTRY, f"{REPOSITORY}/manifests/{reference}")


def answered(upstream):
    """The methods of the requests that got past the challenge for a token."""
    return [r.method for r in upstream.requests(kind="manifests") if r.status != 401]


def store(layover, upstream):
    assert get(layover).status == 200
    layover.settle()
    upstream.forget()


def test_an_unchanged_tag_costs_nothing_and_then_one_head(fresh, upstream, image):
    store(fresh, upstream)
    began = time.monotonic()
    while time.monotonic() < began + TTL / 2:
        assert get(fresh).cache == "HIT"
    assert upstream.requests() == [], "within its time a tag costs upstream nothing"
    wait_until(lambda: get(fresh).cache == "REVALIDATED", "the tag's confirmation", TTL + 10)
    assert answered(upstream) == ["HEAD"]
    assert get(fresh).body == image.manifest


def test_a_restart_does_not_make_a_tag_older(fresh, upstream, image):
    store(fresh, upstream)
    fresh.restart()
    with upstream.stopped():
        assert get(fresh).cache in ("HIT", "STALE")
        assert get(fresh).body == image.manifest


def test_a_moved_tag_is_seen_after_its_time(fresh, upstream, site_a, image, random_bytes):
    store(fresh, upstream)
    moved = site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(1001)])
    assert moved.digest != image.digest
    wait_until(lambda: get(fresh).body == moved.manifest, "the moved tag", TTL + 10)
    answer = get(fresh)
    assert answer.headers["Docker-Content-Digest"] == moved.digest == answer.digest


def test_thirty_requests_for_a_stale_tag_cost_one_head(fresh, upstream, image):
    store(fresh, upstream)
    time.sleep(TTL + 0.1)  # what is awaited is time itself
    with ThreadPoolExecutor(30) as clients:
        answers = list(clients.map(lambda _: get(fresh), range(30)))
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {image.manifest}
    assert answered(upstream) == ["HEAD"]


def test_an_outage_is_told_by_a_warning_and_ends_by_itself(fresh, upstream, image):
    store(fresh, upstream)
    with upstream.stopped():
        wait_until(lambda: get(fresh).cache == "STALE", "a stale answer", TTL + 10)
        began = time.monotonic()
        answer = get(fresh)
        assert time.monotonic() - began < 1, "an outage that is known is not waited for"
        assert answer.body == image.manifest
        assert answer.headers["Warning"].startswith('299 - "layover: stale')
    stale = fresh.metrics().value("layover_stale_served_total", registry=REGISTRY)
    assert stale >= 2
    wait_until(lambda: get(fresh).cache in ("HIT", "REVALIDATED"), "the outage's end", 20)


def test_a_push_after_a_404_is_seen(fresh, upstream, site_a, random_bytes):
    assert get(fresh, "new").status == 404
    asked = len(answered(upstream))
    assert get(fresh, "new").status == 404
    assert len(answered(upstream)) == asked, "a 404 is believed for a while"
    pushed = site_a.open.plant_image(REPOSITORY, "new", [random_bytes(1002)])
    wait_until(lambda: get(fresh, "new").status == 200, "the push", 10)
    assert get(fresh, "new").body == pushed.manifest
