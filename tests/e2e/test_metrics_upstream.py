"""What upstream does, in the metrics: each answer and each real trouble on the way to it is counted once, under
its own reason, and the books of bytes balance."""

import random
from collections import Counter

import pytest

from tests.support import rude_server
from tests.support.metric_changes import MetricChanges
from tests.support.processes import free_port
from tests.support.recording_proxy import CUT_IN_THE_MIDDLE, LAST_BYTE, RecordingProxy
from tests.support.registry import digest_of

A = "registry-a.test"
REPOSITORY = "public/metrics"
FAILED_REQUEST = {"layover_http_requests_total", "layover_http_request_duration_seconds_count",
                  "layover_time_to_first_byte_seconds_count", "layover_sent_bytes_total", "layover_fills_total"}
SAVING = ("HIT", "JOINED", "STALE", "REVALIDATED")


@pytest.fixture
def layover(start_layover, site_a, open_upstream):
    return start_layover({A: site_a.settings(open_upstream)})


@pytest.fixture
def blob(site_a, random_bytes):
    content = random_bytes(200_000)
    return site_a.open.plant_blob(REPOSITORY, content), content


@pytest.fixture
def rude(request):
    server = rude_server.RudeServer(request.param)
    yield server
    server.stop()


def get_blob(layover, digest):
    return layover.get(A, f"{REPOSITORY}/blobs/{digest}")


def assert_only_errors(layover, reason, status, tries):
    """A blob is asked for, so many times before its client is told, and all that is counted of upstream are
    these errors."""
    with MetricChanges(layover, requests=1) as moved:
        assert get_blob(layover, digest_of(b"")).status == status
    assert moved("layover_upstream_errors_total") == {f"{A} {reason}": tries}
    assert moved("layover_http_requests_total") == {f"{A} blob GET {status} none": 1}
    assert moved("layover_fills_total") == {"upstream_error": 1}
    assert moved.names() == FAILED_REQUEST | {"layover_upstream_errors_total"}


def test_a_name_that_does_not_resolve_is_dns(start_layover):
    # RFC 2606: there never is such a name.
    assert_only_errors(start_layover({A: {"url": "https://registry.invalid"}}), "dns", 502, tries=2)


def test_a_refused_port_is_connect(start_layover):
    assert_only_errors(start_layover({A: {"url": f"https://127.0.0.1:{free_port()}"}}), "connect", 502, tries=3)


def test_an_unknown_authority_is_tls(start_layover, open_upstream):
    assert_only_errors(start_layover({A: {"url": open_upstream.url}}), "tls", 502, tries=2)


@pytest.mark.parametrize("rude", [rude_server.be_silent], indirect=True, ids=["silent"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence_is_timeout(start_layover, rude, scheme):
    """Before an answer's head, or in the middle of TLS."""
    entry = {"url": f"{scheme}://{rude.host}", "response_timeout": "300ms", "connect_timeout": "300ms"}
    assert_only_errors(start_layover({A: entry}), "timeout", 504, tries=2)


@pytest.mark.parametrize("rude, reason, tries", [
    (rude_server.reset, "reset", 3), (rude_server.close_without_an_answer, "reset", 3),
    (rude_server.talk_nonsense, "protocol", 1),
], indirect=["rude"], ids=["reset", "closed", "nonsense"])
def test_a_connection_that_breaks_or_is_no_http_has_its_reason(start_layover, rude, reason, tries):
    assert_only_errors(start_layover({A: {"url": f"http://{rude.host}"}}), reason, 502, tries)


@pytest.mark.parametrize("status, code, reason, tries", [
    (500, "500", "status", 2), (503, "503", "status", 2), (599, "5xx", "status", 2), (429, "429", "ratelimited", 1),
    (403, "403", None, 1), (404, "404", None, 1), (418, "4xx", None, 1)])
def test_an_answer_that_is_an_error_is_a_request_and_in_an_outage_an_error(layover, open_upstream, blob, status,
                                                                           code, reason, tries):
    open_upstream.refusals[REPOSITORY] = status
    with MetricChanges(layover, requests=1) as moved:
        get_blob(layover, blob[0])
    assert len(open_upstream.requests()) == tries
    assert moved("layover_upstream_requests_total") == {f"{A} blob {code}": tries}
    assert moved("layover_upstream_errors_total") == ({f"{A} {reason}": tries} if reason else {})
    assert moved("layover_upstream_received_bytes_total") == {A: sum(r.sent for r in open_upstream.requests())}
    assert moved("layover_upstream_request_duration_seconds_count") == {f"{A} blob": tries}
    assert moved("layover_fills_total") == {"upstream_error": 1}


def test_who_waits_for_a_rate_limits_end_costs_and_counts_nothing_upstream(layover, open_upstream, blob):
    open_upstream.refusals[REPOSITORY] = 429
    assert get_blob(layover, blob[0]).status == 429
    layover.settle()
    with MetricChanges(layover, requests=5) as moved:
        assert {get_blob(layover, blob[0]).status for _ in range(5)} == {429}
    assert moved("layover_http_requests_total") == {f"{A} blob GET 429 none": 5}
    assert moved.names() == FAILED_REQUEST


@pytest.fixture(params=["http", "https"])
def cutting(request, site_a, authority):
    """An upstream that closes the connection in the middle of a body, in plain text and in TLS."""
    tls = authority.server_context() if request.param == "https" else None
    proxy = RecordingProxy(site_a.open.address, tls)
    yield proxy
    proxy.stop()


def test_what_a_registry_says_of_its_rate_limit_is_shown(layover, open_upstream, blob):
    name = "layover_upstream_ratelimit_remaining"
    get_blob(layover, digest_of(b""))
    assert not [sample for sample in layover.metrics().samples if sample[0] == name]
    for said, shown in [("76;w=21600", 76), ("75", 75), ("none", 75), ("0;w=21600", 0)]:
        open_upstream.headers = [("RateLimit-Limit", "100;w=21600"), ("RateLimit-Remaining", said)]
        layover.get(A, f"{REPOSITORY}/manifests/{said.replace(';', '.').replace('=', '.')}")
        assert layover.metrics().value(name, registry=A) == shown


def test_a_body_that_is_cut_is_a_reset_and_no_mismatch(start_layover, site_a, cutting, blob):
    digest, content = blob
    layover = start_layover({A: site_a.settings(cutting)})
    cutting.corruptions[digest] = CUT_IN_THE_MIDDLE
    with MetricChanges(layover, requests=1) as moved:
        assert not get_blob(layover, digest).is_whole
    # It is carried on from there, and brings nothing.
    statuses = Counter(request.status for request in cutting.requests())
    assert statuses[200] == 1 and statuses[206] > 0
    assert moved("layover_upstream_requests_total") == {f"{A} blob {s}": n for s, n in statuses.items()}
    assert moved("layover_upstream_errors_total") == {f"{A} reset": statuses.total()}
    assert moved("layover_upstream_received_bytes_total") == {A: len(content) // 2}
    # TLS that ends without its farewell is a broken connection, not the end of a body.
    assert moved("layover_fills_total") == {"short" if cutting.scheme == "http" else "upstream_error": 1}
    assert moved("layover_http_requests_total") == {f"{A} blob GET 200 miss": 1}
    assert moved("layover_client_aborts_total") == {}, "it was not the client who left"


def test_wrong_bytes_are_a_mismatch_of_their_registry(layover, open_upstream, blob):
    digest, content = blob
    open_upstream.corruptions[digest] = LAST_BYTE
    with MetricChanges(layover, requests=1) as moved:
        assert not get_blob(layover, digest).is_whole
    assert moved("layover_digest_mismatches_total") == {A: 1}
    assert moved("layover_fills_total") == {"mismatch": 1}
    assert moved("layover_upstream_received_bytes_total") == {A: len(content)}
    assert moved("layover_upstream_errors_total") == {}, "upstream answered in good order"
    with MetricChanges(layover, requests=1) as moved:
        assert get_blob(layover, digest).status == 502
    assert moved.names() == FAILED_REQUEST - {"layover_fills_total"}, "within the pause nobody is asked"


def test_a_challenge_and_its_token_are_requests_too(start_layover, site_a, upstream, blob):
    layover = start_layover({A: site_a.settings(upstream)})
    with MetricChanges(layover, requests=1) as moved:
        get_blob(layover, blob[0])
    assert moved("layover_upstream_requests_total") == {f"{A} blob 401": 1, f"{A} other 200": 1, f"{A} blob 200": 1}
    assert moved("layover_upstream_errors_total") == {}
    [token_and_all] = moved("layover_upstream_received_bytes_total").values()
    assert token_and_all > sum(request.sent for request in upstream.requests())


def test_a_token_service_that_is_down_is_an_error_of_its_registry(start_layover, site_a, upstream, token_server, blob):
    layover = start_layover({A: site_a.settings(upstream)})
    token_server.stop()
    with MetricChanges(layover, requests=1) as moved:
        assert get_blob(layover, blob[0]).status == 502
    assert moved("layover_upstream_requests_total") == {f"{A} blob 401": 3}
    assert moved("layover_upstream_errors_total") == {f"{A} connect": 3}


@pytest.mark.parametrize("status, reason", [
    (500, "status"), (404, "status"), (429, "ratelimited"), (401, None), (403, None)])
def test_a_token_services_trouble_is_an_error_and_its_verdict_is_none(start_layover, site_a, upstream, token_server,
                                                                      blob, status, reason):
    layover = start_layover({A: site_a.settings(upstream)})
    token_server.trouble = status
    with MetricChanges(layover, requests=1) as moved:
        get_blob(layover, blob[0])
    tries = len(token_server.requests)
    assert moved("layover_upstream_requests_total") == {f"{A} blob 401": tries, f"{A} other {status}": tries}
    assert moved("layover_upstream_errors_total") == ({f"{A} {reason}": tries} if reason else {})


@pytest.fixture
def cdn(site_a, open_upstream):
    """Where registry A sends those who want a blob."""
    proxy = site_a.upstream_without_tokens()
    open_upstream.redirect_blobs = lambda path, query: f"{proxy.url}{path}"
    yield proxy
    proxy.stop()


def test_a_redirect_is_a_request_of_its_own(layover, cdn, blob):
    digest, content = blob
    with MetricChanges(layover, requests=1) as moved:
        assert get_blob(layover, digest).body == content
    assert moved("layover_upstream_requests_total") == {f"{A} blob 307": 1, f"{A} blob 200": 1}
    assert moved("layover_upstream_request_duration_seconds_count") == {f"{A} blob": 2}
    assert moved("layover_upstream_received_bytes_total") == {A: len(content)}
    assert moved("layover_upstream_errors_total") == {}


@pytest.mark.parametrize("status", [403, 503])
def test_an_error_of_where_a_redirect_leads_to_is_one_of_its_registry(layover, cdn, blob, status):
    """Whatever the status: it says nothing about the blob, so the pull has failed."""
    cdn.refusals[REPOSITORY] = status
    with MetricChanges(layover, requests=1) as moved:
        assert get_blob(layover, blob[0]).status == 502
    tries = len(cdn.requests())
    assert tries > 0
    assert moved("layover_upstream_requests_total") == {f"{A} blob 307": tries, f"{A} blob {status}": tries}
    assert moved("layover_upstream_errors_total") == {f"{A} status": tries}


class Books:
    """What the metrics have to say of a use, as its clients and its upstream saw it."""

    def __init__(self):
        self.requests, self.sent, self.saved = Counter(), Counter(), Counter()

    def note(self, kind, method, answer):
        cache = (answer.cache or "none").lower()
        self.requests[f"{A} {kind} {method} {answer.status} {cache}"] += 1
        self.sent[f"{A} {kind} {cache}"] += len(answer.body)
        self.saved[A] += len(answer.body) if answer.cache in SAVING else 0

    def are_those_of(self, moved, upstream):
        kinds = {"manifests": "manifest", "blobs": "blob"}
        asked = Counter(f"{A} {kinds[r.kind]} {r.status}" for r in upstream.requests())
        assert moved("layover_http_requests_total") == self.requests
        assert moved("layover_sent_bytes_total") == +self.sent
        assert moved("layover_saved_bytes_total") == +self.saved
        assert moved("layover_upstream_requests_total") == asked
        assert moved("layover_upstream_received_bytes_total") == {A: sum(r.sent for r in upstream.requests())}


def test_the_books_of_a_hundred_random_requests_balance(layover, site_a, open_upstream, random_bytes, seed):
    chance = random.Random(seed)
    images = [site_a.open.plant_image(f"{REPOSITORY}-{n}", "1.0", [random_bytes(chance.randrange(1, 300_000))])
              for n in range(4)]
    books = Books()
    with MetricChanges(layover, requests=100) as moved:
        for _ in range(100):
            image, method = chance.choice(images), chance.choice(["GET", "GET", "HEAD"])
            kind, reference = chance.choice([("manifest", "1.0"), ("manifest", image.digest), ("manifest", "absent"),
                                             *(("blob", digest) for digest in image.blobs)])
            ranged = {"Range": f"bytes={chance.randrange(50)}-"} if chance.random() < 0.3 else {}
            books.note(kind, method, layover.get(A, f"{image.repository}/{kind}s/{reference}", method, ranged))
            layover.settle()
    books.are_those_of(moved, open_upstream)
