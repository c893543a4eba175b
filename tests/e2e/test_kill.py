"""layover is killed in the middle of storing an image, in every gap between two lasting steps (write,
sync, rename, directory sync, index) and at random. Each time it starts again in under a second, and every
byte that it stores or serves is right. LAYOVER_TEST_SEED repeats a run; each kill is printed."""

import hashlib
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import crash_bench
from tests.support.kill_points import Step, build_shim, choose, read_steps
from tests.support.layover import ROOT, Layover
from tests.support.processes import wait_until

KILLS = 20
REGISTRY, REPOSITORY = "registry-a.test", "public/killed"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture(scope="module")
def shim():
    return build_shim(ROOT / "tests" / "support" / "kill_shim.c", ROOT / "build" / "test-cache")


@pytest.fixture
def image(site_a, random_bytes):
    """A config, a layer small enough for the index, one that is not, and one of several writes."""
    return site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(3_000), random_bytes(100_000),
                                                       random_bytes(3_000_000)])


def pull(layover, image):
    """What an engine asks for, with no mercy for failures: layover may die at any moment."""
    def ask(path, headers=None):
        try:
            return layover.get(REGISTRY, f"{REPOSITORY}/{path}", headers=headers)
        except OSError:
            return None
    ask(f"manifests/{image.tag}", MANIFEST)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda digest: ask(f"blobs/{digest}"), image.blobs))


def check_every_byte(layover, image):
    """What is stored is what its name says; what is served is what was planted."""
    for digest, path in layover.stored_files().items():
        assert digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(), f"{path} holds wrong bytes"
    answer = layover.get(REGISTRY, f"{REPOSITORY}/manifests/{image.tag}", headers=MANIFEST)
    assert (answer.status, answer.body) == (200, image.manifest)
    for digest, content in image.blobs.items():
        answer = layover.get(REGISTRY, f"{REPOSITORY}/blobs/{digest}")
        assert (answer.status, answer.is_whole) == (200, True)
        assert answer.body == content, f"{digest} is served with wrong bytes"


def preloaded(shim, **more):
    return {"LD_PRELOAD": str(shim), **more}


@pytest.fixture
def new_layover(tmp_path, site_a, upstream):
    """A function that makes a layover whose cache directory is not even there; killed after the test."""
    made = []

    def make():
        made.append(Layover(tmp_path / f"layover-{len(made)}", {site_a.name: site_a.settings(upstream)}))
        return made[-1]

    yield make
    for layover in made:
        layover.kill()
        shutil.rmtree(layover.cache_path, ignore_errors=True)


@pytest.fixture
def steps(new_layover, shim, image, tmp_path):
    """The lasting steps of a start and a pull, in the order in which they happen."""
    layover = new_layover()
    trace = tmp_path / "trace"
    layover.start(environment=preloaded(shim, LAYOVER_KILL_TRACE=str(trace)))
    pull(layover, image)
    layover.stop()
    return read_steps(trace, layover.cache_path)


def is_subsequence(wanted, steps):
    rest = iter(steps)
    return all(step in rest for step in wanted)


def test_a_commit_takes_its_steps_in_the_order_that_makes_it_durable(steps):
    assert is_subsequence([
        Step("write", "fills"),    # the bytes
        Step("sync", "fills"),     # are on the disk
        Step("rename", "blobs"),   # before they have their name
        Step("sync", "blobs"),     # which lasts
        Step("write", "index"),    # before the index tells of it
        Step("sync", "index"),
    ], steps), "\n".join(str(step) for step in steps)


def kill_during_pull(layover, shim, image, point):
    """Starts it to die at `point` and pulls. False when the point was not reached."""
    process = layover.launch(preloaded(shim, **point.environment(layover.cache_path)))
    try:
        process.wait_until(layover.is_ready, "layover is ready")
    except RuntimeError:
        return process.exit_status == -signal.SIGKILL  # it died while starting
    pull(layover, image)
    try:
        wait_until(lambda: process.exit_status is not None, "the kill", 1.0)
    except TimeoutError:
        layover.stop()   # the last steps of an orderly end count too
    return process.exit_status == -signal.SIGKILL


def test_no_kill_leaves_a_wrong_byte(steps, new_layover, shim, image, upstream, seed):
    points = choose(steps, seed, KILLS)
    reached = 0
    for number, point in enumerate(points):
        layover = new_layover()
        upstream.start()
        was_killed = kill_during_pull(layover, shim, image, point)
        reached += was_killed
        print(f"kill {number + 1} of {len(points)}, seed {seed}: {point}{'' if was_killed else ': not reached'}")

        began = time.monotonic()
        layover.start()
        assert time.monotonic() - began < 1.0, f"slow start after the kill {point}"
        check_every_byte(layover, image)

        layover.settle()
        with upstream.stopped():
            check_every_byte(layover, image)
        wait_until(lambda one=layover: not one.partial_files(), f"left-overs are cleared after the kill {point}", 5)
        layover.kill()
    assert reached >= KILLS, f"only {reached} kills happened"


def test_a_download_that_was_killed_half_way_is_completed(layover, upstream, site_a, random_bytes):
    content = random_bytes(20_000_000)
    digest = site_a.open.plant_blob(REPOSITORY, content)
    upstream.bytes_per_second = 20_000_000
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(layover.get, REGISTRY, f"{REPOSITORY}/blobs/{digest}")
        wait_until(lambda: sum(r.sent for r in upstream.requests(reference=digest)) > 8_000_000, "8 MB have come")
        layover.kill()
        try:
            assert not cut.result().is_whole
        except OSError:
            pass  # a reset is as good an end as a short body
    upstream.bytes_per_second = None
    layover.start()
    answer = layover.get(REGISTRY, f"{REPOSITORY}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, content)


def test_kills_at_random_instants_under_load(tmp_path, site_a, seed):
    """A sample of what ./test --long does 500 times."""
    stock = crash_bench.plant_stock(site_a.open, 10, crash_bench.seeded(seed, "stock"))
    bench = crash_bench.Bench(tmp_path, site_a.open.port, stock, None)
    try:
        for number in range(6):
            bench.chance = crash_bench.seeded(seed, number)
            crash_bench.kill_once(bench)
    finally:
        bench.end()
