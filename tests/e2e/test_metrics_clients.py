"""What clients do, in the metrics: each request moves each counter of the clients' side by exactly what it
should, in the right series, and no other."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import http_client
from tests.support.metric_changes import MetricChanges
from tests.support.processes import wait_until
from tests.support.recording_proxy import Hold

A = "registry-a.test"
REPOSITORY = "public/metrics"
# What a request moves that costs upstream nothing.
A_REQUEST = {"layover_http_requests_total", "layover_http_request_duration_seconds_count",
             "layover_time_to_first_byte_seconds_count"}
A_REQUEST_WITH_BODY = A_REQUEST | {"layover_sent_bytes_total"}


@pytest.fixture
def layover(start_layover, site_a, open_upstream):
    # Every request upstream is counted: none is to come that no client has made.
    return start_layover({A: site_a.settings(open_upstream, tag_ttl="1h", prefetch=False)})


@pytest.fixture
def image(site_a, random_bytes):
    return site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(100_000)])


@pytest.fixture
def blob(site_a, random_bytes):
    content = random_bytes(3_000_000)
    return site_a.open.plant_blob(REPOSITORY, content), content


def get(layover, path, method="GET", **headers):
    return layover.get(A, f"{REPOSITORY}/{path}", method, headers)


def pull(layover, image, method="GET"):
    answers = [get(layover, "manifests/1.0", method), *(get(layover, f"blobs/{d}", method) for d in image.blobs)]
    assert {answer.status for answer in answers} == {200}


def store(layover, path):
    assert get(layover, path).status == 200
    layover.settle()


def blob_bytes(image):
    return sum(len(content) for content in image.blobs.values())


def assert_each_was_timed(moved, expected):
    assert moved("layover_http_request_duration_seconds_count") == expected
    assert moved("layover_time_to_first_byte_seconds_count") == expected


def assert_pulled(moved, image, cache):
    """The manifest and both blobs were each answered once, whole, in that way; gives the bytes of them all."""
    assert moved("layover_http_requests_total") == {f"{A} manifest GET 200 {cache}": 1, f"{A} blob GET 200 {cache}": 2}
    assert_each_was_timed(moved, {f"manifest {cache}": 1, f"blob {cache}": 2})
    sent = {f"{A} manifest {cache}": len(image.manifest), f"{A} blob {cache}": blob_bytes(image)}
    assert moved("layover_sent_bytes_total") == sent
    return sum(sent.values())


def test_a_cold_pull_is_misses_and_saves_nothing(layover, open_upstream, image):
    with MetricChanges(layover, requests=3) as moved:
        pull(layover, image)
    sent = assert_pulled(moved, image, "miss")
    assert moved("layover_saved_bytes_total") == {}
    # The manifest's HEAD by its tag, and its GET by its digest.
    assert moved("layover_upstream_requests_total") == {f"{A} manifest 200": 2, f"{A} blob 200": 2}
    assert moved("layover_upstream_request_duration_seconds_count") == {f"{A} manifest": 2, f"{A} blob": 2}
    received = moved("layover_upstream_received_bytes_total")
    assert received == {A: sent} == {A: sum(r.sent for r in open_upstream.requests())}
    assert moved("layover_fills_total") == {"committed": 3}
    assert moved("layover_upstream_errors_total") == {}


def test_a_warm_pull_is_hits_and_saves_all_of_it(layover, image):
    pull(layover, image)
    layover.settle()
    with MetricChanges(layover, requests=3) as moved:
        pull(layover, image)
    sent = assert_pulled(moved, image, "hit")
    assert moved("layover_saved_bytes_total") == {A: sent}
    assert moved.names() == A_REQUEST_WITH_BODY | {"layover_saved_bytes_total"}


def test_head_sends_and_saves_no_bytes(layover, open_upstream, image):
    with MetricChanges(layover, requests=3) as moved:
        pull(layover, image, "HEAD")
    assert moved("layover_http_requests_total") == {f"{A} manifest HEAD 200 miss": 1, f"{A} blob HEAD 200 miss": 2}
    assert moved("layover_upstream_requests_total") == {f"{A} manifest 200": 1, f"{A} blob 200": 2}
    assert moved.names() == A_REQUEST | {"layover_upstream_requests_total",
                                         "layover_upstream_request_duration_seconds_count"}
    pull(layover, image)
    layover.settle()
    with MetricChanges(layover, requests=3) as moved:
        pull(layover, image, "HEAD")
    assert moved("layover_http_requests_total") == {f"{A} manifest HEAD 200 hit": 1, f"{A} blob HEAD 200 hit": 2}
    assert moved.names() == A_REQUEST


def test_a_range_counts_the_bytes_of_the_part(layover, blob):
    digest, content = blob
    with MetricChanges(layover, requests=1) as moved:
        assert get(layover, f"blobs/{digest}", Range="bytes=0-999").body == content[:1000]
    assert moved("layover_http_requests_total") == {f"{A} blob GET 206 miss": 1}
    assert moved("layover_sent_bytes_total") == {f"{A} blob miss": 1000}
    assert moved("layover_saved_bytes_total") == {}
    assert moved("layover_upstream_received_bytes_total") == {A: len(content)}

    with MetricChanges(layover, requests=3) as moved:
        assert get(layover, f"blobs/{digest}", Range="bytes=-500").status == 206
        assert get(layover, f"blobs/{digest}", Range=f"bytes={len(content)}-").status == 416
        assert get(layover, f"blobs/{digest}", **{"If-None-Match": f'"{digest}"'}).status == 304
    assert moved("layover_http_requests_total") == {
        f"{A} blob GET 206 hit": 1, f"{A} blob GET 416 hit": 1, f"{A} blob GET 304 hit": 1}
    assert_each_was_timed(moved, {"blob hit": 3})
    assert moved("layover_sent_bytes_total") == {f"{A} blob hit": 500}
    assert moved("layover_saved_bytes_total") == {A: 500}


def test_who_joins_a_download_saves_what_it_gets(layover, open_upstream, blob):
    digest, content = blob
    hold = open_upstream.holds[digest] = Hold(1_000_000)
    with MetricChanges(layover, requests=3) as moved, ThreadPoolExecutor() as pool:
        first = pool.submit(get, layover, f"blobs/{digest}")
        assert hold.reached.wait(10)
        joined = [pool.submit(get, layover, f"blobs/{digest}") for _ in range(2)]
        wait_until(lambda: layover.metrics().value("layover_fill_readers") == 3, "all three read")
        hold.release()
        assert [answer.result().cache for answer in (first, *joined)] == ["MISS", "JOINED", "JOINED"]
    assert moved("layover_http_requests_total") == {f"{A} blob GET 200 miss": 1, f"{A} blob GET 200 joined": 2}
    assert_each_was_timed(moved, {"blob miss": 1, "blob joined": 2})
    assert moved("layover_sent_bytes_total") == {f"{A} blob miss": len(content), f"{A} blob joined": 2 * len(content)}
    assert moved("layover_saved_bytes_total") == {A: 2 * len(content)}
    assert moved("layover_upstream_received_bytes_total") == {A: len(content)}
    assert moved("layover_upstream_requests_total") == {f"{A} blob 200": 1}
    assert moved("layover_fills_total") == {"committed": 1}


def test_a_confirmed_tag_is_revalidated_and_its_bytes_are_saved(start_layover, site_a, open_upstream, image):
    layover = start_layover({A: site_a.settings(open_upstream, tag_ttl="0s")})
    store(layover, "manifests/1.0")
    with MetricChanges(layover, requests=1) as moved:
        assert get(layover, "manifests/1.0").cache == "REVALIDATED"
    assert moved("layover_http_requests_total") == {f"{A} manifest GET 200 revalidated": 1}
    assert_each_was_timed(moved, {"manifest revalidated": 1})
    assert moved("layover_sent_bytes_total") == {f"{A} manifest revalidated": len(image.manifest)}
    assert moved("layover_saved_bytes_total") == {A: len(image.manifest)}
    [asked] = [r for r in open_upstream.requests(kind="manifests") if "if-none-match" in r.headers]
    assert moved("layover_upstream_requests_total") == {f"{A} manifest {asked.status}": 1}
    assert moved("layover_upstream_received_bytes_total") == {}


def test_an_outage_is_counted_once_and_each_stale_answer(start_layover, site_a, open_upstream, image):
    layover = start_layover({A: site_a.settings(open_upstream, tag_ttl="0s")})
    store(layover, "manifests/1.0")
    with open_upstream.stopped(), MetricChanges(layover, requests=3) as moved:
        assert [get(layover, "manifests/1.0").cache for _ in range(3)] == ["STALE"] * 3
    assert moved("layover_http_requests_total") == {f"{A} manifest GET 200 stale": 3}
    assert_each_was_timed(moved, {"manifest stale": 3})
    assert moved("layover_stale_served_total") == {A: 3}
    assert moved("layover_sent_bytes_total") == {f"{A} manifest stale": 3 * len(image.manifest)}
    assert moved("layover_saved_bytes_total") == {A: 3 * len(image.manifest)}
    assert moved("layover_upstream_errors_total") == {f"{A} connect": 1}, "the others did not ask"
    assert moved("layover_upstream_requests_total") == {}


def test_a_404_is_neither_an_error_of_upstream_nor_saved(layover, image):
    with MetricChanges(layover, requests=1) as moved:
        answer = get(layover, "manifests/absent")
    assert answer.status == 404
    assert moved("layover_http_requests_total") == {f"{A} manifest GET 404 none": 1}
    assert_each_was_timed(moved, {"manifest none": 1})
    assert moved("layover_sent_bytes_total") == {f"{A} manifest none": len(answer.body)}
    assert moved("layover_saved_bytes_total") == {}
    # HEAD, and GET: there are registries that answer the first with 404 whatever they have.
    assert moved("layover_upstream_requests_total") == {f"{A} manifest 404": 2}
    assert moved("layover_upstream_errors_total") == {}


def test_a_denied_registry_is_counted_and_nobody_is_asked(layover):
    with MetricChanges(layover, requests=2) as moved:
        refused = [layover.get("registry-c.test", f"{REPOSITORY}/{path}") for path in ("manifests/1.0", "tags/list")]
    assert {answer.status for answer in refused} == {403}
    assert moved("layover_access_denied_total") == {"registry": 2}
    assert moved("layover_http_requests_total") == {"other manifest GET 403 none": 1, "other tags GET 403 none": 1}
    assert moved.names() == A_REQUEST_WITH_BODY | {"layover_access_denied_total"}


def test_a_repository_that_may_not_read_what_is_stored_is_denied_the_grant(layover, open_upstream, image, blob):
    digest, content = blob
    store(layover, f"blobs/{digest}")
    open_upstream.refusals["public/other"] = 403
    paths = [f"public/other/blobs/{digest}", "public/other/manifests/1.0", "public/absent/blobs/" + digest]
    with MetricChanges(layover, requests=4) as moved:
        answers = [layover.get(A, path).status for path in paths] + [layover.get(A, paths[0], "HEAD").status]
    assert answers == [403, 403, 404, 403]
    # The tag's manifest is not stored: its refusal is upstream's own.
    assert moved("layover_access_denied_total") == {"grant": 3}
    assert moved("layover_saved_bytes_total") == {}
    hold = open_upstream.holds[next(iter(image.blobs))] = Hold(10)
    path = f"blobs/{next(iter(image.blobs))}"
    with MetricChanges(layover, requests=2) as moved, ThreadPoolExecutor() as pool:
        allowed = pool.submit(get, layover, path)
        assert hold.reached.wait(10)
        assert layover.get(A, f"public/other/{path}").status == 403
        hold.release()
        assert allowed.result().status == 200
    assert moved("layover_access_denied_total") == {"grant": 1}, "nor may it join a download"


def test_each_kind_of_request_has_its_series(layover, image):
    asked = {"/v2/": "docker.io ping GET 200 none",
             f"/v2/{A}/{REPOSITORY}/tags/list": f"{A} tags GET 200 miss",
             f"/v2/{A}/{REPOSITORY}/referrers/{image.digest}": f"{A} referrers GET 404 none",
             "/favicon.ico": "other other GET 404 none"}
    for path, series in asked.items():
        with MetricChanges(layover, requests=1) as moved:
            answer = http_client.fetch(layover.raw_url(path))
        registry, kind, _, _, cache = series.split()
        assert moved("layover_http_requests_total") == {series: 1}
        assert_each_was_timed(moved, {f"{kind} {cache}": 1})
        assert moved("layover_sent_bytes_total") == {f"{registry} {kind} {cache}": len(answer.body)}
        assert moved("layover_saved_bytes_total") == {}


def test_a_push_is_of_another_method(layover):
    with MetricChanges(layover, requests=1) as moved:
        answer = get(layover, "manifests/1.0", "PUT")
    assert answer.status == 405
    assert moved("layover_http_requests_total") == {"other manifest other 405 none": 1}
    assert_each_was_timed(moved, {"manifest none": 1})
    assert moved("layover_sent_bytes_total") == {"other manifest none": len(answer.body)}
    assert moved.names() == A_REQUEST_WITH_BODY


def test_a_request_that_cannot_be_read_is_counted_and_timed(layover):
    with MetricChanges(layover, requests=1) as moved:
        [(status, _, body)] = http_client.split_answers(http_client.exchange(layover.port, b"nonsense\r\n\r\n"))
    assert moved("layover_http_requests_total") == {f"other other other {status} none": 1}
    assert_each_was_timed(moved, {"other none": 1})
    assert moved("layover_http_request_duration_seconds_sum")["other none"] > 0
    assert moved("layover_sent_bytes_total") == {"other other none": len(body)}
    assert moved.names() == A_REQUEST_WITH_BODY


def test_a_client_that_leaves_is_an_abort_with_the_bytes_that_it_took(layover, site_a, random_bytes):
    size = 16 << 20  # more than the sockets' buffers hold
    digest = site_a.open.plant_blob(REPOSITORY, random_bytes(size))
    store(layover, f"blobs/{digest}")
    with MetricChanges(layover, requests=1) as moved:
        leaver = http_client.OpenDownload(layover.url(A, f"{REPOSITORY}/blobs/{digest}"))
        taken = len(leaver.read_exactly(1000))
        leaver.close()
    assert moved("layover_client_aborts_total") == {"": 1}
    assert moved("layover_http_requests_total") == {f"{A} blob GET 200 hit": 1}
    sent = moved("layover_sent_bytes_total")
    assert sent.keys() == {f"{A} blob hit"} and taken <= sent[f"{A} blob hit"] < size
    assert moved("layover_saved_bytes_total") == {A: sent[f"{A} blob hit"]}


def test_who_is_served_whole_is_no_abort(layover, blob):
    digest, content = blob
    store(layover, f"blobs/{digest}")
    with MetricChanges(layover, requests=1) as moved:
        download = http_client.OpenDownload(layover.url(A, f"{REPOSITORY}/blobs/{digest}"))
        assert download.read_exactly(len(content)) == content
        download.close()
    assert moved("layover_client_aborts_total") == {}


def test_times_are_those_of_the_clients_clock(start_layover, site_a, upstream, token_server, blob):
    """Upstream's token takes 0.3 s, which is before our first byte, and its body nearly 0.5 s more."""
    layover = start_layover({A: site_a.settings(upstream)})
    digest, content = blob
    token_server.delay = 0.3
    upstream.bytes_per_second = 2 * len(content)
    began = time.monotonic()
    with MetricChanges(layover, requests=1) as moved:
        assert get(layover, f"blobs/{digest}").body == content
    passed = time.monotonic() - began
    [first_byte] = moved("layover_time_to_first_byte_seconds_sum").values()
    [duration] = moved("layover_http_request_duration_seconds_sum").values()
    assert 0.3 < first_byte < duration - 0.25
    assert 0.75 < duration < passed
    upstream_times = moved("layover_upstream_request_duration_seconds_sum")
    assert upstream_times.keys() == {f"{A} other", f"{A} blob"}
    assert 0.3 < upstream_times[f"{A} other"] < passed
    assert 0.45 < upstream_times[f"{A} blob"] < passed - 0.3
    # It is in each bucket whose bound is large enough.
    buckets = layover.metrics().series("layover_http_request_duration_seconds_bucket")
    bounds = {labels.split()[-1]: count for labels, count in buckets.items()}
    assert bounds == {bound: float(bound) >= duration for bound in bounds} and len(bounds) == 18


def test_connections_are_counted_by_side_while_they_are_open(start_layover, site_a, open_upstream, blob):
    layover = start_layover({A: site_a.settings(open_upstream)}, {"threads": 1})
    digest, _ = blob

    def open_ones():
        series = layover.metrics().series("layover_connections")
        return series["client"] - 1, series["upstream"]  # the scrape's own is one of a client

    assert wait_until(lambda: open_ones() == (0, 0), "what the start has opened is closed")
    clients = [socket.create_connection(("127.0.0.1", layover.port)) for _ in range(5)]
    wait_until(lambda: open_ones() == (5, 0), "five clients")
    hold = open_upstream.holds[digest] = Hold(0)
    with ThreadPoolExecutor() as pool:
        download = pool.submit(get, layover, f"blobs/{digest}")
        assert hold.reached.wait(10)
        wait_until(lambda: open_ones() == (6, 1), "a sixth, who waits for upstream")
        hold.release()
        download.result()
    wait_until(lambda: open_ones() == (5, 1), "upstream's stays open for the next request")
    for client in clients:
        client.close()
    wait_until(lambda: open_ones() == (0, 1), "the clients are gone")
