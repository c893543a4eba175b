"""What puts load on a contender: wrk, h2load, curl, programs/head_load.c. Each fails where
an answer was not what it must be."""

import re

from tests.bench.compiled import program
from tests.support.processes import run

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Load:
    """What one run saw, and what it cost the server."""

    def __init__(self, requests, size, seconds, cpu_seconds):
        self.requests, self.size, self.seconds, self.cpu_seconds = requests, size, seconds, cpu_seconds

    @property
    def requests_per_cpu_second(self):
        assert self.requests > 0, "no request was answered whole"
        return self.requests / self.cpu_seconds if self.cpu_seconds else 0.0

    @property
    def requests_per_second(self):
        return self.requests / self.seconds

    @property
    def gigabytes_per_second(self):
        return self.size / self.seconds / 1e9

    @property
    def cpu_seconds_per_gigabyte(self):
        return self.cpu_seconds / self.size * 1e9


def wrk(contender, path, connections, seconds, script=None):
    """One thread asks for a path, or for what a Lua script says, over connections that stay open."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    command += ["-s", script] if script else []
    before = contender.cpu_seconds()
    output = run([*command, f"{contender.base}/{path}"], timeout=seconds + 90).stdout
    used = contender.cpu_seconds() - before
    assert not re.search(r"Non-2xx|connect [1-9]|read [1-9]|write [1-9]|timeout [1-9]", output), output
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s), ([\d.]+)([KMGT]?)B read", output)
    assert found and float(found[4]) > 0, output
    took = float(found[2]) * (0.001 if found[3] == "ms" else 1)
    return Load(int(found[1]), float(found[4]) * UNITS[found[5]], took, used)


def head_load(contender, path, connections, seconds):
    """The same by HEAD."""
    before = contender.cpu_seconds()
    output = run([program("head_load"), contender.port, f"/v2/{path}", connections, seconds], timeout=seconds + 90)
    used = contender.cpu_seconds() - before
    requests, size, took = map(int, output.stdout.split())
    assert requests > 0, f"{contender.name} answered nothing in {took / 1e9:g} s"
    return Load(requests, size, took / 1e9, used)


def h2load_at_rate(contender, path, connections, rate, seconds, log):
    """percent -> seconds within which that share of the requests was answered. Each connection asks at its
    share of `rate`, whatever the answers do; `log` is a file to write to."""
    log.unlink(missing_ok=True)
    run(["h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", f"--rps={rate / connections:.3f}",
         f"--log-file={log}", f"{contender.base}/{path}"], timeout=seconds + 90)
    answers = [line.split() for line in log.read_text().splitlines()]
    assert answers and all(status == "200" for _, status, _ in answers), f"{contender.name}: not all answers are 200"
    times = sorted(int(microseconds) / 1e6 for _, _, microseconds in answers)
    return {percent: times[min(len(times) - 1, len(times) * percent // 100)] for percent in (50, 99)}


def h2load_whole(url, clients, size):
    """Seconds until so many clients, each with a connection of its own, have all bytes."""
    output = run(["h2load", "--h1", "-t1", f"-c{clients}", f"-n{clients}", url], timeout=900).stdout
    assert f"{clients} succeeded, 0 failed, 0 errored" in output, output
    received = int(re.search(r"\((\d+)\) data", output)[1])
    assert received == clients * size, f"{received} bytes of {clients} x {size}"
    took = re.search(r"finished in ([\d.]+)(us|ms|s)", output)
    return float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[took[2]]


def curl(url, size):
    """Seconds that a whole download took, and until its first byte; all `size` bytes must come."""
    output = run(["curl", "-sSf", "-o", "/dev/null",
                  "-w", "%{size_download} %{time_total} %{time_starttransfer}", url], timeout=600).stdout.split()
    assert int(output[0]) == size, f"{output[0]} bytes of {size}"
    return float(output[1]), float(output[2])
