"""Where the figures come from: the machine, and the versions of everything that took part."""

import datetime
import os
import platform
import re
from pathlib import Path

from tests.support.images import ROOT
from tests.support.layover import BINARY
from tests.support.processes import run

# name -> how to ask for its version; the first number with a dot in the answer is it.
VERSIONS = {
    "layover": [BINARY, "--version"],
    "nginx": ["/usr/sbin/nginx", "-v"],
    "docker-registry": ["docker-registry", "--version"],
    "varnish": ["/usr/sbin/varnishd", "-V"],
    "squid": ["/usr/sbin/squid", "-v"],
    "wrk": ["wrk", "-v"],
    "h2load": ["h2load", "--version"],
    "curl": ["curl", "--version"],
    "skopeo": ["skopeo", "--version"],
    "containerd": ["containerd", "--version"],
}


def describe():
    """What report.py writes at the head of its table."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {"date": datetime.date.today().isoformat(),
            "commit": _output(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).strip() or "unknown",
            "cpu": cpu[1].strip() if cpu else platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(int(memory[1]) / (1 << 20), 1),
            "kernel": platform.release(),
            "load_before": os.getloadavg()[0],
            "versions": {name: found[0] for name, command in VERSIONS.items()
                         if (found := re.search(r"\d+\.\d+[\w.+-]*", _output(command)))}}


def _output(command):
    try:
        done = run(command, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr
