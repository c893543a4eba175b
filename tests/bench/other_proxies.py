"""Caching HTTP proxies that are not made for registries, where the work suits them. They are measured beside
nginx, and no target is about them."""

import os
import shutil
from pathlib import Path

from tests.bench.contenders import ProcessContender
from tests.support.processes import free_port

SQUID = """http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1:{upstream} no-vhost
cache_peer 127.0.0.1 parent {upstream} 0 no-query no-digest originserver
http_access allow all
cache_mem 1 GB
maximum_object_size 1 GB
maximum_object_size_in_memory 1 MB
refresh_pattern . 1440 100% 1440 override-expire
workers 1
access_log none
cache_store_log none
cache_log {directory}/cache.log
pid_filename none
coredump_dir {directory}
shutdown_lifetime 0 seconds
"""


class VarnishContender(ProcessContender):
    """Content in memory; one pool of threads, one of which serves a connection at a time."""

    def __init__(self, directory, origin):
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = ["/usr/sbin/varnishd", "-F", "-j", "none", "-n", directory, "-t", "86400",
                   "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin.port}", "-s", "malloc,1G",
                   "-p", "thread_pools=1", "-p", "thread_pool_min=100"]
        super().__init__("varnish", port, command, directory / "varnishd.log", patience=30)

    def pids(self):
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]


class SquidContender(ProcessContender):
    """One worker, content in memory."""

    def __init__(self, directory, origin):
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        config = directory / "squid.conf"
        config.write_text(SQUID.format(port=port, upstream=origin.port, directory=directory))
        if os.geteuid() == 0:  # it gives up root's rights for this user's
            shutil.chown(directory, "proxy", "proxy")
            directory.parent.chmod(0o755)
        super().__init__("squid", port, ["/usr/sbin/squid", "-N", "-f", config], directory / "squid.log", patience=30)
