"""podman pulls layers in zstd:chunked through layover: of the second image it asks for those chunks alone that
the first has not brought, by one request for many ranges."""

import io
import tarfile

import pytest

from tests.support.podman import PartialPodman, Store

REGISTRY = "registry-a.test"


def tar_of(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture
def builder(short_directory):
    (short_directory / "builder").mkdir()
    store = Store(short_directory / "builder")
    yield store
    store.stop()


@pytest.fixture
def podman(layover, way_out, short_directory):
    (short_directory / "podman").mkdir()
    engine = PartialPodman(short_directory / "podman", REGISTRY, layover.port, way_out.environment)
    yield engine
    engine.stop()


def push_chunked(builder, site, name, files):
    """Pushes an image of one layer with these files."""
    archive = builder.directory / f"{name}.tar"
    archive.write_bytes(tar_of(files))
    builder.podman("import", "--quiet", archive, f"localhost/{name}")
    host, port = site.open.address
    builder.podman("push", "--quiet", "--signature-policy", builder.policy, "--tls-verify=false",
                   "--compression-format", "zstd:chunked", f"localhost/{name}", f"{host}:{port}/public/{name}:1.0")


def test_only_the_chunks_that_are_new_are_asked_for(layover, upstream, site_a, builder, podman, random_bytes):
    first = {f"f{number}": random_bytes(20_000 + 97 * number) for number in range(200)}
    second = {**first, **{f"f{number}": random_bytes(30_000) for number in range(0, 200, 7)}}
    push_chunked(builder, site_a, "chunked-first", first)
    push_chunked(builder, site_a, "chunked-second", second)
    podman.pull(f"{REGISTRY}/public/chunked-first:1.0")
    assert podman.files_of(f"{REGISTRY}/public/chunked-first:1.0") == first
    layover.settle()

    before = layover.metrics()
    upstream.forget()
    podman.pull(f"{REGISTRY}/public/chunked-second:1.0")
    assert podman.files_of(f"{REGISTRY}/public/chunked-second:1.0") == second
    layover.settle()
    after = layover.metrics()

    def added(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)

    # The table of contents, and 29 chunks at once.
    assert added("layover_http_requests_total", kind="blob", code="206") == 2
    new = 29 * 30_000
    assert new < added("layover_sent_bytes_total", kind="blob") < 1.2 * new
    # Upstream is asked for the whole layer, once.
    largest = max(upstream.requests(), key=lambda request: request.sent)
    assert largest.sent > 4_000_000
    assert [r.method for r in upstream.requests() if r.reference == largest.reference] == ["GET"]
