"""What every end-to-end test can ask for: two registries with content, upstreams to script, a layover of
its own. The registries live as long as the run; upstreams and layover are fresh for each test."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support import images  # noqa: E402
from tests.support.cache_directories import CacheDirectories  # noqa: E402
from tests.support.engines import Containerd, Skopeo  # noqa: E402
from tests.support.layover import BINARY, Layover  # noqa: E402
from tests.support.site import PULLER, PUSHER, Site  # noqa: E402
from tests.support.tls_authority import TlsAuthority  # noqa: E402
from tests.support.token_server import ANONYMOUS, TokenServer  # noqa: E402
from tests.support.way_out import WayOut  # noqa: E402

REGISTRY_A, REGISTRY_B = "registry-a.test", "registry-b.test"
BIG_LAYER = 300 << 20


def pytest_sessionstart(session):
    if not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is not there: build it with ./run --build-only, or set LAYOVER_BINARY", 1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps the result of each phase on the test, and adds layover's log to what a failure shows."""
    report = (yield).get_result()
    setattr(item, f"result_of_{report.when}", report)
    if report.failed:
        for instance in getattr(item, "layovers", []):
            report.sections.append((f"layover's log ({instance.log})", _tail(instance.output())))


def _tail(text, lines=60):
    return "\n".join(text.splitlines()[-lines:])


@pytest.fixture(scope="session")
def session_directory():
    """Removed at the end, whatever happened: it holds the registries' storage."""
    directory = Path(tempfile.mkdtemp(prefix="layover-e2e-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def authority(session_directory):
    return TlsAuthority(session_directory / "tls")


@pytest.fixture(scope="session")
def _token_server(authority):
    server = TokenServer(authority)
    server.add_account(*PUSHER, {"*": ["pull", "push"]})
    server.add_account(*PULLER, {"public/*": ["pull"], "private/*": ["pull"]})
    server.accounts[ANONYMOUS].access = {"public/*": ["pull"], "library/*": ["pull"]}
    yield server
    server.stop()


@pytest.fixture
def token_server(_token_server):
    """The token service of both registries: anonymous may pull public/* and library/*, PULLER private/* too."""
    _token_server.start()
    _token_server.reset()
    return _token_server


@pytest.fixture(scope="session")
def site_a(session_directory, authority, _token_server):
    site = Site(REGISTRY_A, session_directory / "a", authority, _token_server)
    yield site
    site.stop()


@pytest.fixture(scope="session")
def site_b(session_directory, authority, _token_server):
    site = Site(REGISTRY_B, session_directory / "b", authority, _token_server)
    yield site
    site.stop()


@pytest.fixture(scope="session")
def image_layouts(session_directory):
    """The images as OCI layouts by name, as `public/NAME:1.0` in registry A; `app` has a namesake in B."""
    # Layers are hard links of the cached files, so the layouts stay on the same file system.
    directory = Path(tempfile.mkdtemp(prefix="layouts-", dir=images.cache()))
    yield SimpleNamespace(
        app=images.runnable_image(directory / "app", "hello from registry A"),
        app_of_b=images.runnable_image(directory / "app-b", "hello from registry B"),
        multi=images.multi_platform_image(directory / "multi", "hello"),
        helm=images.helm_chart(directory / "helm"),
        big=images.big_image(directory / "big", BIG_LAYER))
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def seeded(site_a, site_b, image_layouts, _token_server):
    """The registries with the images in them; gives the layouts."""
    _token_server.start()
    _token_server.reset()  # whatever the test before has scripted
    for name in ("app", "multi", "helm", "big"):
        site_a.push(getattr(image_layouts, name), f"public/{name}:1.0")
    site_b.push(image_layouts.app_of_b, "public/app:1.0")
    return image_layouts


@pytest.fixture
def upstream(site_a, token_server):
    """Registry A as layover sees it: recording, behind TLS and tokens, ready to be scripted."""
    proxy = site_a.upstream()
    yield proxy
    proxy.stop()


@pytest.fixture
def open_upstream(site_a):
    """The same without tokens: every request and every byte that it sees is one for content."""
    proxy = site_a.upstream_without_tokens()
    yield proxy
    proxy.stop()


@pytest.fixture
def upstream_b(site_b, token_server):
    proxy = site_b.upstream()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def cache_directories(session_directory):
    return CacheDirectories(session_directory)


@pytest.fixture
def start_layover(request, tmp_path, cache_directories):
    """A function that starts a layover with the given registries and an empty cache; ended after the
    test. `launch=False` leaves the start to the test."""
    request.node.layovers = []

    def start(registries, settings=None, launch=True, **more):
        directory = tmp_path / f"layover-{len(request.node.layovers)}"
        instance = Layover(directory, registries, settings, cache_path=cache_directories.take(), **more)
        request.node.layovers.append(instance)
        return instance.start() if launch else instance

    yield start
    result = getattr(request.node, "result_of_call", None)
    try:
        for instance in request.node.layovers:
            if result is None or result.failed:
                instance.kill()
            instance.stop()
    finally:
        for instance in request.node.layovers:
            instance.kill()
            cache_directories.give_back(instance.cache_path)


@pytest.fixture
def layover(start_layover, site_a, upstream):
    """A running layover for registry A, anonymous upstream, which is also the default of a second port."""
    return start_layover({site_a.name: site_a.settings(upstream)}, default_registry=site_a.name)


@pytest.fixture
def skopeo(tmp_path):
    return Skopeo(tmp_path / "skopeo")


@pytest.fixture
def containerd():
    # A short path: a socket's is limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="layover-ctd-", dir="/tmp"))
    engine = Containerd(directory)
    yield engine
    engine.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def way_out():
    """Where engines go when they leave layover; give them its environment."""
    closed = WayOut()
    yield closed
    closed.stop()


@pytest.fixture(scope="session")
def architecture():
    """This machine's, as images name it."""
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def short_directory():
    """Short, since the path of a socket in it is limited to 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="layover-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def seed():
    """For whatever is random: LAYOVER_TEST_SEED repeats a run, whose seed is printed."""
    value = int(os.environ.get("LAYOVER_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"\nLAYOVER_TEST_SEED={value}")
    return value


@pytest.fixture
def random_bytes(request):
    """A function that gives `size` bytes that no other test has."""
    source = random.Random(f"{request.node.nodeid}{os.getpid()}")
    return source.randbytes
