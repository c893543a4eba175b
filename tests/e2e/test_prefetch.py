"""What a real engine will ask for comes ahead of it, once; who only looks at an image costs upstream no layer."""

import time

import pytest

from tests.support import images

REGISTRY, NAME = "registry-a.test", "public/many:1.0"
LAYERS = 9


@pytest.fixture
def many(tmp_path, site_a, random_bytes):
    """An image of more layers than skopeo asks for at once (6); ctr asks for all."""
    layout = images.Layout(tmp_path / "many")
    tars = [images.tar_layer({f"file-{number}": random_bytes(400_000)}) for number in range(LAYERS)]
    layers = [layout.add(tar, images.LAYER) for tar in tars]
    config = layout.add(images.image_config([layer["digest"] for layer in layers]), images.CONFIG)
    layout.finish(layout.add_manifest(config, layers))
    site_a.push(layout, NAME)
    return layout


@pytest.fixture
def slow_upstream(upstream):
    upstream.bytes_per_second = 800_000  # half a second a layer
    return upstream


def by_skopeo(request, layover):
    skopeo = request.getfixturevalue("skopeo")
    return lambda: skopeo.copy(f"127.0.0.1:{layover.port}/{REGISTRY}/{NAME}").digests


def by_containerd(request, layover):
    containerd = request.getfixturevalue("containerd")
    containerd.mirror(REGISTRY, layover.port)

    def pull():
        containerd.pull(f"{REGISTRY}/{NAME}")
        digests = containerd.content_digests()
        containerd.forget()
        return digests
    return pull


@pytest.mark.parametrize("engine", [by_skopeo, by_containerd])
def test_layers_come_ahead_and_once(engine, request, many, layover, slow_upstream):
    pull = engine(request, layover)
    assert pull() == many.digests()
    layover.settle()
    fetched = [r.reference for r in slow_upstream.requests(method="GET", kind="blobs", status=200)]
    assert sorted(fetched) == sorted(many.blob_digests()), "each blob is fetched once, whoever asked first"
    if engine is by_skopeo:
        assert layover.metrics().value("layover_prefetches_total") > 0
    assert layover.metrics().value("layover_prefetches_total", result="failed") == 0

    slow_upstream.forget()
    assert pull() == many.digests()
    assert slow_upstream.requests(kind="blobs") == []


def test_inspecting_costs_no_layer(many, layover, upstream, skopeo):
    told = skopeo.inspect(f"127.0.0.1:{layover.port}/{REGISTRY}/{NAME}")
    assert len(told["Layers"]) == LAYERS
    time.sleep(0.5)  # for what must not begin
    fetched = {r.reference for r in upstream.requests(kind="blobs")}
    assert not fetched & set(told["Layers"])
