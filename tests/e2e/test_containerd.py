"""containerd pulls through layover as the mirror of a registry (a hosts.toml, so that `?ns=` is sent),
and runc starts a container from what arrived. The registry itself cannot be reached by containerd."""

import pytest

from tests.support.four_pulls import pull_four_times
from tests.support.processes import run


@pytest.mark.parametrize("image", ["app", "multi", "big"])
def test_blobs_are_fetched_from_upstream_once_and_never_again(image, layover, upstream, seeded, containerd):
    containerd.mirror("registry-a.test", layover.port)
    name = f"registry-a.test/public/{image}:1.0"
    expected = getattr(seeded, image)

    def pull():
        assert containerd.pull(name, all_platforms=True) == expected.digest
        assert containerd.content_digests() == expected.digests()
        containerd.forget()
        layover.settle()

    pull_four_times(pull, layover, upstream, "registry-a.test", expected.blob_digests())


def test_runc_starts_a_container_from_what_was_pulled(layover, upstream, seeded, containerd):
    containerd.mirror("registry-a.test", layover.port)
    containerd.pull("registry-a.test/public/app:1.0")
    assert containerd.run("registry-a.test/public/app:1.0", "first") == "hello from registry A\n"

    containerd.forget()
    layover.settle()
    with upstream.stopped():
        containerd.pull("registry-a.test/public/app:1.0")
    assert containerd.run("registry-a.test/public/app:1.0", "second") == "hello from registry A\n"


def test_only_the_nodes_platform_of_an_index_is_fetched(layover, upstream, seeded, containerd):
    containerd.mirror("registry-a.test", layover.port)
    containerd.pull("registry-a.test/public/multi:1.0")
    architecture = run(["dpkg", "--print-architecture"]).stdout.strip()
    assert containerd.run("registry-a.test/public/multi:1.0") == f"hello on {architecture}\n"
    fetched = {r.reference for r in upstream.requests(method="GET", kind="blobs", status=200)}
    assert fetched < seeded.multi.blob_digests()


def test_an_artifact_that_is_no_image_is_fetched(layover, upstream, seeded, containerd):
    containerd.mirror("registry-a.test", layover.port)
    containerd.fetch("registry-a.test/public/helm:1.0")
    assert containerd.content_digests() == seeded.helm.digests()

    containerd.forget()
    layover.settle()
    upstream.forget()
    with upstream.stopped():
        containerd.fetch("registry-a.test/public/helm:1.0")
    assert containerd.content_digests() == seeded.helm.digests()
    assert upstream.requests(kind="blobs") == []
