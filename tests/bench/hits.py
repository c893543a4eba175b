"""What is stored already: manifests by digest and by tag, with GET and HEAD, small blobs, a large one."""

import bisect
import itertools
import random
from contextlib import ExitStack

from tests.bench.clients import head_load, wrk
from tests.bench.contenders import BareLoop, LayoverContender, NginxContender, RegistryContender, warm, warm_all
from tests.bench.content import Origin, Tree
from tests.bench.line import Line, at_least, at_most
from tests.bench.other_proxies import SquidContender, VarnishContender
from tests.bench.rounds import alternate, pick

PER_CPU_SECOND = "requests/CPU s"
ZIPF = """local requests, n, i = {{}}, 0, 0
init = function()
  for path in io.lines("{order}") do
    n = n + 1
    requests[n] = wrk.format("GET", path)
  end
end
request = function()
  i = i % n + 1
  return requests[i]
end
"""


def manifest(bench):
    """cached manifest by digest, 64 connections"""
    with ExitStack() as stack:
        servers = tree, layover, _ = start(bench, stack)
        servers = [*servers, *other_proxies(bench, stack, layover.origin)]
        path = tree.add_manifest()
        return _small_answers(bench, stack, servers, path, "cached manifest by digest, 64 connections",
                              {"nginx": at_least(1.7), BareLoop.NAME: at_least(0.75)})


def head(bench):
    """cached manifest by HEAD, 64 connections"""
    with ExitStack() as stack:
        servers = tree, layover, nginx = start(bench, stack)
        path = tree.add_manifest()
        for contender in (layover, nginx):
            warm(contender, tree, path)
        return _small_answers(bench, stack, servers, path, "the same by HEAD", {"nginx": at_least(1.6)}, "HEAD")


def tag(bench):
    """cached manifest by tag within its TTL, 64 connections"""
    with ExitStack() as stack:
        servers = start(bench, stack, tag="latest")
        return _small_answers(bench, stack, servers, servers[0].tag_path("latest"),
                              "the same by tag within its TTL", {"nginx": at_least(1.6)})


def small_blobs(bench):
    """cached blobs of 1-64 KB, Zipf, 64 connections"""
    with ExitStack() as stack:
        tree, layover, nginx = start(bench, stack)
        paths = tree.add_small_blobs(bench.size(10_000, 100))
        contenders = [layover, nginx, *other_proxies(bench, stack, layover.origin)]
        for contender in contenders:
            warm_all(contender, tree, paths)
        script = _zipf_script(bench, paths)
        results = alternate(contenders, lambda c: wrk(c, "", 64, bench.seconds, script), bench.rounds)
        return [Line(f"cached blobs of 1-64 KB, {len(paths):,} of them, Zipf: requests per server CPU second",
                     PER_CPU_SECOND, pick(results, lambda load: load.requests_per_cpu_second), at_least(1.4),
                     ("nginx",))]


def large_blob(bench):
    """cached blob of 400 MB, 8 connections"""
    with ExitStack() as stack:
        tree, layover, nginx = start(bench, stack)
        registry = bench.keep(stack, RegistryContender(bench.new_directory("registry"), layover.origin))
        size = bench.size(400_000_000, 8_000_000)
        path = tree.add_random_blob(size)
        contenders = [layover, nginx, registry]
        for contender in contenders:
            warm(contender, tree, path)
        results = alternate(contenders, lambda c: wrk(c, path, 8, bench.seconds), bench.rounds)
        title = f"cached blob of {size / 1e6:g} MB, 8 connections: "
        return [Line(title + "server CPU seconds per GB", "CPU s/GB",
                     pick(results, lambda load: load.cpu_seconds_per_gigabyte), at_most(1.0), ("nginx",)),
                Line(title + "throughput", "GB/s", pick(results, lambda load: load.gigabytes_per_second),
                     at_least(1.0), ("nginx", "docker-registry"))]


def other_proxies(bench, stack, origin):
    return [bench.keep(stack, make(bench.new_directory("other"), origin))
            for make in (VarnishContender, SquidContender)]


def start(bench, stack, tag=None, settings=None):
    """A tree with a manifest under the tag where one is wanted, layover and nginx in front of it."""
    tree = bench.keep(stack, Tree(bench.new_directory("tree")))
    if tag:
        tree.add_manifest(tag=tag)
    origin = bench.keep(stack, Origin(bench.new_directory("origin"), tree))
    layover = bench.keep(stack, LayoverContender(bench.new_directory("layover"), origin, settings=settings))
    nginx = bench.keep(stack, NginxContender(bench.new_directory("nginx"), origin))
    return tree, layover, nginx


def _small_answers(bench, stack, servers, path, title, targets, method="GET"):
    """Requests per CPU second of the server, against each peer of `targets`; the bare epoll loop, where it is
    one of them, sends the same bytes as layover."""
    tree, *contenders = servers
    for contender in contenders:
        warm(contender, tree, path, method)
    if BareLoop.NAME in targets:
        bare = bench.keep(stack, BareLoop(bench.new_directory("bare"), contenders[0], path, method))
        warm(bare, tree, path, method)
        contenders.append(bare)
    load = head_load if method == "HEAD" else wrk
    results = alternate(contenders, lambda c: load(c, path, 64, bench.seconds), bench.rounds)
    samples = pick(results, lambda one: one.requests_per_cpu_second)
    return [Line(f"{title}: requests per server CPU second", PER_CPU_SECOND, samples, target, (peer,))
            for peer, target in targets.items()]


def _zipf_script(bench, paths):
    """wrk asks for the paths in an order drawn once: the n-th most popular one in proportion to 1/n."""
    chance = random.Random(len(paths))
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(paths) + 1)))
    drawn = [bisect.bisect(weights, chance.random() * weights[-1]) for _ in range(100_000)]
    order = bench.directory / "zipf.txt"
    order.write_text("".join(f"/v2/{paths[index]}\n" for index in drawn))
    script = bench.directory / "zipf.lua"
    script.write_text(ZIPF.format(order=order))
    return script


ROWS = [manifest, head, tag, small_blobs, large_blob]
