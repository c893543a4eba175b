"""What every engine is tried with: an image is pulled cold, warm, after a restart of layover, and in an outage;
only the first pull costs the registry its blobs."""


def pull_four_times(pull, layover, upstream, registry, blobs):
    """`pull()` pulls through layover, checks what came, forgets it, and lets layover settle. `blobs`: the
    digests that the image needs, manifests left out."""

    def blob_answers(cache):
        return layover.metrics().value("layover_http_requests_total", kind="blob", cache=cache, code="200")

    pull()
    fetched = [r.reference for r in upstream.requests(method="GET", kind="blobs", status=200)]
    assert sorted(fetched) == sorted(blobs), "the first pull fetches each blob once"
    assert layover.metrics().value("layover_fills_total", result="committed") >= len(blobs)
    assert blob_answers("miss") == len(blobs)

    upstream.forget()
    pull()
    assert blob_answers("hit") == len(blobs), "the second pull is served from the cache"

    layover.restart()
    pull()

    with upstream.stopped():
        pull()
    assert layover.metrics().value("layover_stale_served_total", registry=registry) > 0
    assert upstream.requests(kind="blobs") == [], "no pull but the first asks upstream for a blob"
