"""What the request log costs."""

from contextlib import ExitStack

from tests.bench.clients import wrk
from tests.bench.contenders import LayoverContender, warm
from tests.bench.content import Origin, Tree
from tests.bench.line import Line, at_least
from tests.bench.rounds import alternate, pick


def request_log(bench):
    """cached manifest by digest with the request log, text and JSON, against the same without"""
    with ExitStack() as stack:
        tree = bench.keep(stack, Tree(bench.new_directory("tree")))
        origin = bench.keep(stack, Origin(bench.new_directory("origin"), tree))
        path = tree.add_manifest()
        contenders = [bench.keep(stack, LayoverContender(bench.new_directory("layover"), origin, name, settings=log))
                      for name, log in (("no log", {}), ("text", _log("text")), ("json", _log("json")))]
        for contender in contenders:
            warm(contender, tree, path)
        results = alternate(contenders, lambda c: wrk(c, path, 64, bench.seconds), bench.rounds)
        samples = pick(results, lambda load: load.requests_per_cpu_second)
        return [Line(f"request log as {form}, cached manifest by digest: requests per server CPU second",
                     "requests/CPU s", samples, at_least(0.85), ("no log",), ours=form)
                for form in ("text", "json")]


def _log(form):
    return {"log": {"level": "info", "format": form, "requests": True}}


ROWS = [request_log]
