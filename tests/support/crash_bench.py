"""A layover that is broken in the middle of its work, again and again, and compared with what it should hold
after each time: images in a registry, what of them is durable in the cache, and the comparison."""

import hashlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.fault_points import NO_FAULT, FaultControl, choose_fault
from tests.support.layover import Layover
from tests.support.processes import wait_until

REGISTRY, REPOSITORY = "registry-a.test", "public/crash"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
SIZES = (2_000, 30_000, 120_000, 1_500_000)   # with a copy beside the index; one piece; several pieces
AT_ONCE = 3
READY_WITHIN = 60.0


class Wrong(AssertionError):
    """What must never happen: wrong bytes, a commit that is lost, files and index that disagree."""


def plant_stock(registry, images, chance):
    """Images of bytes that nobody else has, in a docker-registry without tokens."""
    return [registry.plant_image(REPOSITORY, f"v{number}", [chance.randbytes(size) for size in SIZES])
            for number in range(images)]


class Bench:
    """Pulls the images of `stock` through one layover after the other, each round in a new cache directory.
    What is random comes from `chance`."""

    def __init__(self, directory, registry_port, stock, chance):
        self._directory = Path(directory)
        self._port = registry_port
        self._stock = stock
        self.chance = chance
        self._rounds = 0
        self.layover = None
        self.durable = set()      # numbers of images that a client has seen to be stored
        self.under_way = set()    # of those that were being pulled at the last kill
        self.slowest_start = 0.0
        self.compared = 0         # contents, over all comparisons

    def new_round(self):
        """An empty cache, nothing of it running."""
        self.end()
        self._rounds += 1
        entry = {"url": f"http://127.0.0.1:{self._port}", "tag_ttl": "1h"}
        self.layover = Layover(self._directory / f"round-{self._rounds}", {REGISTRY: entry},
                               {"log": {"level": "info", "requests": False}})
        self.durable, self.under_way = set(), set()

    def end(self):
        if self.layover is not None:
            self.layover.kill()

    @property
    def is_used_up(self):
        """There is not enough left to pull."""
        return self.layover is None or len(self._stock) - len(self.durable) < 2 * AT_ONCE

    def ask(self, path, headers=None):
        return self.layover.get(REGISTRY, f"{REPOSITORY}/{path}", headers=headers)

    def pull(self, number):
        """What an engine asks for: yields (what, expected bytes, the answer or OSError)."""
        image = self._stock[number]
        wanted = [(f"manifests/{image.tag}", image.manifest), (f"manifests/{image.digest}", image.manifest)]
        wanted += [(f"blobs/{digest}", content) for digest, content in image.blobs.items()]
        for path, content in wanted:
            try:
                answer = self.ask(path, MANIFEST)
            except OSError as error:
                answer = error
            yield path, content, answer

    def pull_gently(self, number):
        """A pull in the course of which anything may fail, but never with wrong bytes. Gives whether it has
        all come."""
        has_all = True
        for path, content, answer in self.pull(number):
            if isinstance(answer, OSError):
                has_all = False
            else:
                check_bytes(path, content, answer)
                has_all = has_all and answer.status == 200 and answer.is_whole
        return has_all

    def pull_some(self):
        """Pulls some images that are not durable yet, at once. Gives those of which all has come."""
        missing = [number for number in range(len(self._stock)) if number not in self.durable]
        self.under_way = set(self.chance.sample(missing, min(AT_ONCE, len(missing))))
        numbers = sorted(self.under_way)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {number for number, is_whole in zip(numbers, pool.map(self.pull_gently, numbers)) if is_whole}

    def start(self, environment=None):
        began = time.monotonic()
        self.layover.start(READY_WITHIN, environment)
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)

    def launch(self):
        """Starts it and does not insist that it gets ready. Gives whether it has."""
        process = self.layover.launch()
        try:
            process.wait_until(self.layover.is_ready, "layover is ready", READY_WITHIN)
        except RuntimeError:
            return False
        return True

    def load_until_killed(self, after):
        """Kills it `after` seconds from now, under load all the while, and notes what is durable."""
        timer = threading.Timer(after, self.layover.kill)
        timer.start()
        try:
            while self.layover.is_running and len(self.durable) < len(self._stock):
                whole = self.pull_some()
                if self.has_settled():
                    self.durable |= whole
                    self.under_way = set()
        finally:
            timer.join()

    def has_settled(self):
        """Waits until every download is committed or dropped; False where layover died before that."""
        try:
            self.layover.settle()
            return True
        except OSError:
            return False

    def compare(self):
        """All that is durable is served from the disk, what was cut off is downloaded again, every file has
        the bytes of its name, nothing partial is left, and the index knows just these files."""
        for number in sorted(self.durable):
            for path, content, answer in self.pull(number):
                check_whole(path, content, answer)
                if answer.cache != "HIT" and "sha256:" in path:   # a tag may be asked for again
                    raise Wrong(f"{path} was stored, and is {answer.cache} after the restart")
        for number in sorted(self.under_way):
            for path, content, answer in self.pull(number):
                check_whole(path, content, answer)
        self.layover.settle()
        self.durable |= self.under_way
        self.under_way = set()
        self.check_directory()

    def check_directory(self):
        files = self.layover.stored_files()
        for digest, path in files.items():
            if digest != "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest():
                raise Wrong(f"{path} holds other bytes than its name says")
        self.compared += len(files)
        sizes = sum(path.stat().st_size for path in files.values())

        def agrees():
            metrics = self.layover.metrics()
            return (metrics.value("layover_cache_objects"), metrics.value("layover_cache_bytes")) == (len(files), sizes)

        try:
            wait_until(agrees, "the index knows just the files that are there", 5)
            wait_until(lambda: not self.layover.partial_files(), "what was left of downloads is gone", 5)
        except TimeoutError as error:
            raise Wrong(f"{error}: {len(files)} files of {sizes} bytes, partial {self.layover.partial_files()}") from error


def check_bytes(path, content, answer):
    """An answer that may be an error, or end short, has no wrong byte."""
    if answer.status != 200:
        if answer.status < 500 or not answer.is_whole or not answer.error_codes():
            raise Wrong(f"{path}: {answer.status} is no clear error: {answer.body[:300]}")
    elif answer.body != content[:len(answer.body)] or (answer.is_whole and answer.body != content):
        raise Wrong(f"{path} is served with wrong bytes")


def check_whole(path, content, answer):
    if isinstance(answer, OSError):
        raise Wrong(f"{path}: {answer!r}")
    check_bytes(path, content, answer)
    if answer.status != 200 or not answer.is_whole:
        raise Wrong(f"{path} is answered {answer.status}, {len(answer.body)} of {len(content)} bytes: {answer.body[:200]}"
                    if answer.status != 200 else f"{path} ends at byte {len(answer.body)} of {len(content)}")


def kill_once(bench):
    """One kill at a random instant, under load, then a restart and the comparison."""
    if bench.is_used_up:
        bench.new_round()
        bench.start()
    if bench.chance.random() < 0.25:   # while it starts, or just after
        bench.layover.kill()
        bench.layover.launch()
        bench.load_until_killed(bench.chance.uniform(0, 0.3))
    else:
        bench.load_until_killed(bench.chance.uniform(0, 0.8))
    bench.start()
    bench.compare()


class FailingCalls:
    """Makes one system call after the other fail below a layover that pulls."""

    STARTS = 0.1   # the part of the faults that come while it starts
    RESTARTS = 0.25

    def __init__(self, root, bench):
        self._root = root
        self._bench = bench
        self._control = None
        self._calls_of_a_start = self._calls = {}

    def fail_once(self):
        """Gives the fault that has happened, after the comparison."""
        bench = self._bench
        if bench.is_used_up:
            self._new_round()
        is_starting = bench.chance.random() < self.STARTS
        while True:
            fault = choose_fault(bench.chance, self._calls_of_a_start if is_starting else self._calls)
            has_fired = self._fail_start(fault) if is_starting else self._fail_pulls(fault)
            if has_fired:
                return f"{fault}{' of a start' if is_starting else ''}"
            if bench.is_used_up:
                self._new_round()

    def _new_round(self):
        self._bench.new_round()
        layover = self._bench.layover
        self._control = FaultControl(self._root, layover.directory, layover.cache_path)
        layover.environment = self._control.environment
        self._bench.start()
        self._bench.layover.kill()   # the first start makes hundreds of folders: the second one is as usual
        self._control.arm(NO_FAULT)
        self._bench.start()
        self._calls_of_a_start = self._control.calls()
        self._pull_all()

    def _pull_all(self):
        """Some images, with no fault: each comes at once, and lasts."""
        self._control.arm(NO_FAULT)
        self._bench.pull_some()
        self._bench.compare()
        self._calls = self._control.calls()

    def _fail_start(self, fault):
        layover = self._bench.layover
        layover.kill()
        self._control.arm(fault)
        is_ready = self._bench.launch()
        has_fired = self._control.disarm()
        if not is_ready and layover.exit_status != 1:
            raise Wrong(f"a start with {fault} ended with {layover.exit_status}")
        if not is_ready:
            self._bench.start()
        self._bench.compare()
        return has_fired

    def _fail_pulls(self, fault):
        bench = self._bench
        self._control.arm(fault)
        bench.pull_some()
        if not bench.has_settled():
            raise Wrong(f"layover ended with {bench.layover.exit_status} after {fault}")
        has_fired = self._control.disarm()
        if bench.chance.random() < self.RESTARTS:
            bench.layover.kill()
            bench.start()
        bench.compare()   # pulls again what had the fault
        return has_fired


def seeded(seed, number):
    """What is random in one step of a run: a run that is cut off goes on as if it had not been."""
    return random.Random(f"{seed}-{number}")
