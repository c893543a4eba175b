"""Tag lists: passed through page by page, with the way to the next page leading through layover, and served
stale while the registry cannot be asked. skopeo wants one for each `inspect`."""

import json
import re
from urllib.parse import parse_qsl, urljoin

import pytest

from tests.support import http_client
from tests.support.processes import wait_until
from tests.support.recording_proxy import TagList

REGISTRY = "registry-a.test"
REPOSITORY = "public/listed"
TAGS = ["1.0", "1.1", "2.0", "2.1", "latest"]


@pytest.fixture
def image(site_a, random_bytes):
    """One image under many tags."""
    for tag in TAGS:
        planted = site_a.open.plant_image(REPOSITORY, tag, [random_bytes(1000)])
    return planted


def list_tags(layover, query=""):
    return layover.get(REGISTRY, f"{REPOSITORY}/tags/list{query}")


def tags_of(answer):
    assert answer.status == 200
    return json.loads(answer.body)["tags"]


def next_page(layover, answer):
    """Where the Link leads, as a client understands it; None at the end."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    target = re.fullmatch(r'<([^>]+)>; *rel="?next"?', link)[1]
    return urljoin(layover.url(REGISTRY, f"{REPOSITORY}/tags/list"), target)


def test_a_list_is_passed_through(layover, image):
    answer = list_tags(layover)
    assert sorted(tags_of(answer)) == TAGS
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("is_absolute", [False, True], ids=["relative-link", "absolute-link"])
def test_each_page_leads_to_the_next_one_through_layover(layover, upstream, token_server, is_absolute):
    upstream.tag_lists[REPOSITORY] = TagList(TAGS, limit=2, link_base=upstream.url if is_absolute else "")
    found = []
    url = layover.url(REGISTRY, f"{REPOSITORY}/tags/list")
    while url is not None:
        assert url.startswith(f"http://127.0.0.1:{layover.port}/v2/{REGISTRY}/{REPOSITORY}/tags/list")
        answer = http_client.fetch(url)
        found += tags_of(answer)
        url = next_page(layover, answer)
        assert len(found) <= len(TAGS)
    assert found == TAGS


def test_the_size_of_a_page_and_its_beginning_are_the_clients_choice(layover, upstream):
    upstream.tag_lists[REPOSITORY] = TagList(TAGS, limit=100)
    first = list_tags(layover, "?n=3")
    assert tags_of(first) == TAGS[:3]
    assert next_page(layover, first) is not None
    rest = list_tags(layover, "?n=3&last=2.0")
    assert tags_of(rest) == TAGS[3:]
    assert next_page(layover, rest) is None
    assert tags_of(list_tags(layover, "?last=1.1")) == TAGS[2:], "last works without n"
    asked = [dict(parse_qsl(r.query)) for r in upstream.requests(kind="tags", status=200)]
    assert asked == [{"n": "3"}, {"n": "3", "last": "2.0"}, {"last": "1.1"}]


def test_a_new_tag_is_listed_at_once(layover, site_a, random_bytes):
    for tags in (["1.0"], ["1.0", "2.0"]):
        site_a.open.plant_image("public/growing", tags[-1], [random_bytes(1000)])
        assert sorted(tags_of(layover.get(REGISTRY, "public/growing/tags/list"))) == tags


def test_a_list_is_served_stale_while_upstream_cannot_be_asked(layover, upstream, image):
    fresh = list_tags(layover)
    with upstream.stopped():
        stale = list_tags(layover)
        assert (stale.status, stale.body, stale.cache) == (200, fresh.body, "STALE")
        assert stale.headers["Warning"].startswith('299 - "layover: stale')

        layover.restart()
        stale = list_tags(layover)
        assert (stale.status, stale.body, stale.cache) == (200, fresh.body, "STALE")
        assert layover.metrics().value("layover_stale_served_total", registry=REGISTRY) > 0
        assert layover.get(REGISTRY, "public/never-listed/tags/list").status in (502, 504)
    wait_until(lambda: list_tags(layover).cache != "STALE", "the end of the outage is noticed", 30)


def test_a_list_that_upstream_refuses_is_refused_although_it_is_known(layover, upstream, image):
    tags_of(list_tags(layover))
    upstream.refusals[REPOSITORY] = 403
    assert list_tags(layover).status == 403


def test_skopeo_inspects_an_image_also_in_an_outage(layover, upstream, image, skopeo):
    source = f"127.0.0.1:{layover.port}/{REGISTRY}/{REPOSITORY}:1.0"

    def inspect():
        told = skopeo.inspect(source)
        assert sorted(told["RepoTags"]) == TAGS
        return told["Digest"]

    digest = inspect()
    layover.settle()
    with upstream.stopped():
        assert inspect() == digest
        layover.restart()
        assert inspect() == digest
