"""Upstream asks who we are: bearer tokens, anonymous and with credentials, as few requests for them as
possible, renewed when they end; and credentials go where they belong and nowhere else."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.recording_proxy import RecordingProxy
from tests.support.site import PULLER

REGISTRY = "registry-a.test"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture
def image(site_a, random_bytes):
    return site_a.open.plant_image("private/app", "1.0", [random_bytes(100_000) for _ in range(10)])


@pytest.fixture
def public_image(site_a, random_bytes):
    return site_a.open.plant_image("public/tokens", "1.0", [random_bytes(100_000) for _ in range(10)])


@pytest.fixture
def with_credentials(start_layover, site_a, upstream, token_server):
    """A layover that is PULLER upstream, and may say so to the token server."""
    return start_layover({REGISTRY: site_a.settings(upstream, PULLER, token_realms=[token_server.host])})


def pull(layover, image):
    """The manifest by tag, then all blobs at once, as engines do."""
    manifest = layover.get(REGISTRY, f"{image.repository}/manifests/{image.tag}", headers=MANIFEST)
    assert (manifest.status, manifest.body) == (200, image.manifest)
    with ThreadPoolExecutor(len(image.blobs)) as pool:
        answers = pool.map(lambda d: layover.get(REGISTRY, f"{image.repository}/blobs/{d}"), image.blobs)
        for answer, content in zip(answers, image.blobs.values()):
            assert (answer.status, answer.body) == (200, content)


def test_public_images_are_pulled_without_credentials(layover, token_server, public_image):
    pull(layover, public_image)
    assert token_server.count() == token_server.count(account="", had_credentials=False) > 0


def test_private_images_are_refused_without_credentials(layover, image):
    for method in ("GET", "HEAD"):
        answer = layover.get(REGISTRY, "private/app/manifests/1.0", method, MANIFEST)
        assert answer.status == 401
    for digest in image.blobs:
        assert layover.get(REGISTRY, f"private/app/blobs/{digest}").status == 401
    assert layover.stored_files() == {}


def test_private_images_are_pulled_with_credentials(with_credentials, token_server, upstream, image):
    pull(with_credentials, image)
    assert token_server.count(account="puller", status=200) > 0
    assert not any((r.authorization or "").startswith("Basic") for r in upstream.requests()), \
        "the registry itself asked for a token, not for the password"


def test_a_password_in_the_environment_works_too(start_layover, site_a, upstream, token_server, image):
    entry = site_a.settings(upstream, token_realms=[token_server.host], shared=True)
    entry["credentials"] = {"username": PULLER[0], "password_env": "PULL_PASSWORD"}
    pull(start_layover({REGISTRY: entry}, environment={"PULL_PASSWORD": PULLER[1]}), image)


def test_one_token_serves_all_requests_of_a_repository(with_credentials, token_server, image):
    """Ten blobs asked at once, and none of them with a token yet."""
    token_server.delay = 0.3
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda d: with_credentials.get(REGISTRY, f"private/app/blobs/{d}"), image.blobs))
    assert {answer.status for answer in answers} == {200}
    assert token_server.count() == 1
    [request] = token_server.requests
    assert request.scopes == ("repository:private/app:pull",)
    assert request.service == REGISTRY


def test_each_repository_has_a_token_of_its_own(layover, token_server, site_a, random_bytes):
    for repository in ("public/one", "public/two"):
        digest = site_a.open.plant_blob(repository, random_bytes(1000))
        assert layover.get(REGISTRY, f"{repository}/blobs/{digest}").status == 200
    assert [r.scopes for r in token_server.requests] == [("repository:public/one:pull",),
                                                        ("repository:public/two:pull",)]


@pytest.mark.parametrize("announced", [None, 300], ids=["expires-as-announced", "expires-early"])
def test_a_token_that_ends_in_the_middle_of_a_pull_is_renewed(start_layover, site_a, token_server, upstream,
                                                              public_image, announced):
    """Tokens live 2 s, the pull takes longer; whether or not expires_in said so."""
    layover = start_layover({REGISTRY: site_a.settings(upstream, prefetch=False)})  # which would make it quick
    token_server.lifetime, token_server.announced_lifetime = 2, announced
    upstream.refuses_expired_tokens = True
    upstream.bytes_per_second = 130_000   # each blob takes most of a second
    manifest = layover.get(REGISTRY, "public/tokens/manifests/1.0", headers=MANIFEST)
    assert manifest.body == public_image.manifest
    for digest, content in list(public_image.blobs.items())[:6]:
        assert layover.get(REGISTRY, f"public/tokens/blobs/{digest}").body == content
    assert 2 <= token_server.count() <= 8


def test_a_failing_token_service_is_an_upstream_error_and_not_for_ever(layover, token_server, public_image):
    token_server.stop()
    answer = layover.get(REGISTRY, "public/tokens/manifests/1.0", headers=MANIFEST)
    assert answer.status in (502, 504)
    assert REGISTRY.encode() in answer.body
    token_server.start()
    pull(layover, public_image)


def test_wrong_credentials_are_a_401_and_not_for_ever(start_layover, site_a, upstream, token_server, image):
    entry = site_a.settings(upstream, ("late", "not-yet"), token_realms=[token_server.host])
    layover = start_layover({REGISTRY: entry})
    assert layover.get(REGISTRY, "private/app/manifests/1.0", headers=MANIFEST).status in (401, 403)
    token_server.add_account("late", "not-yet", {"private/*": ["pull"]})
    try:
        pull(layover, image)
    finally:
        del token_server.accounts["late"]


def test_a_token_service_that_is_not_listed_sees_no_credentials(start_layover, site_a, upstream, token_server,
                                                                image):
    """Whoever answers in the registry's place could name a realm of his own and collect passwords."""
    layover = start_layover({REGISTRY: site_a.settings(upstream, PULLER)})
    answer = layover.get(REGISTRY, "private/app/manifests/1.0", headers=MANIFEST)
    assert answer.status in (401, 403, 502)
    assert token_server.count(had_credentials=True) == 0
    assert b"token_realms" in answer.body and token_server.host.encode() in answer.body, "it says what to configure"


def test_a_registry_with_basic_authentication(start_layover, site_a, image):
    upstream = site_a.upstream_without_tokens()
    try:
        upstream.basic = ("basic-user", "basic-secret")
        pull(start_layover({REGISTRY: site_a.settings(upstream, upstream.basic)}), image)
        anonymous = start_layover({REGISTRY: site_a.settings(upstream)})
        assert anonymous.get(REGISTRY, "private/app/manifests/1.0", headers=MANIFEST).status == 401
    finally:
        upstream.stop()


@pytest.fixture
def cdn(site_a):
    """Where the registry's blobs really are: another port, presigned URLs, no credentials wanted."""
    proxy = site_a.upstream_without_tokens()
    proxy.refuses_authorization = True
    yield proxy
    proxy.stop()


def test_a_redirect_elsewhere_carries_no_credentials(with_credentials, upstream, cdn, image):
    upstream.redirect_blobs = lambda path, query: f"{cdn.url}{path}?X-Signature=presigned-secret"
    pull(with_credentials, image)
    requests = cdn.requests()
    assert {r.reference for r in requests} == set(image.blobs)
    assert all(r.authorization is None for r in requests)
    assert all("puller" not in str(r.headers).lower() for r in requests)
    assert "presigned-secret" not in with_credentials.output(), "a presigned query is as good as a password"


def test_a_redirect_to_another_name_carries_no_credentials(with_credentials, upstream, cdn, image):
    upstream.redirect_blobs = lambda path, query: f"{cdn.url.replace('127.0.0.1', 'localhost')}{path}"
    pull(with_credentials, image)
    assert all(r.authorization is None for r in cdn.requests())


def test_a_redirect_may_be_relative_and_keeps_the_token_on_its_own_host(with_credentials, upstream, image):
    """Google's registries send relative ones."""
    upstream.redirect_blobs = lambda path, query: None if query else f"{path}?again"
    pull(with_credentials, image)
    followed = upstream.requests(query="again", status=200)
    assert {r.reference for r in followed} == set(image.blobs)
    assert all(r.authorization.startswith("Bearer ") for r in followed)


def test_a_redirect_never_leads_from_https_to_http(with_credentials, site_a, upstream, image):
    plain = RecordingProxy(site_a.open.address)
    try:
        upstream.redirect_blobs = lambda path, query: f"{plain.url}{path}"
        digest = next(iter(image.blobs))
        answer = with_credentials.get(REGISTRY, f"private/app/blobs/{digest}")
        assert answer.status == 502
        assert plain.requests() == []
    finally:
        plain.stop()


@pytest.mark.parametrize("target", ["https://169.254.169.254/latest", "https://10.0.0.1/",
                                    "https://[::ffff:a9fe:a9fe]/"])
def test_a_redirect_leads_into_no_private_network(with_credentials, upstream, image, target):
    upstream.redirect_blobs = lambda path, query: target
    digest = next(iter(image.blobs))
    answer = with_credentials.get(REGISTRY, f"private/app/blobs/{digest}", timeout=4)
    assert answer.status == 502
    assert answer.error_codes()


def test_a_redirect_in_a_circle_ends(with_credentials, upstream, image):
    upstream.redirect_blobs = lambda path, query: f"{path}?{query}x"
    digest = next(iter(image.blobs))
    assert with_credentials.get(REGISTRY, f"private/app/blobs/{digest}").status == 502
    assert len(upstream.requests(reference=digest)) < 15


def test_a_clients_own_credentials_stay_here(layover, upstream, token_server, public_image):
    """In open mode what a client sends to layover is not for upstream."""
    secret = base64.b64encode(b"client:client-secret").decode()
    headers = {**MANIFEST, "Authorization": f"Basic {secret}"}
    assert layover.get(REGISTRY, "public/tokens/manifests/1.0", headers=headers).status == 200
    assert all(secret not in str(r.headers) for r in upstream.requests())
    assert token_server.count(had_credentials=True) == 0
    assert secret not in layover.output()


def test_no_secret_is_logged(with_credentials, upstream, token_server, image):
    pull(with_credentials, image)
    log = with_credentials.output()
    assert PULLER[1] not in log
    tokens = {r.authorization.split()[1] for r in upstream.requests() if r.authorization}
    assert tokens and all(token not in log for token in tokens)
