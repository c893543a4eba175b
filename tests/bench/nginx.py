"""An nginx in its best configuration, with one worker unless told otherwise, for benchmarks: as an upstream or as a peer."""

from pathlib import Path

from tests.support.processes import Process, accepts_connections, free_port

COMMON = """daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
user root;
worker_processes {workers};
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off;
  sendfile on;
  sendfile_max_chunk 0;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 4000000000;
  open_file_cache max=20000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path {directory}/t1;
  proxy_temp_path {directory}/t2;
  fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4;
  scgi_temp_path {directory}/t5;
  {body}
}}
"""


class Nginx:
    def __init__(self, directory, body, workers=1, **values):
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        config = directory / "nginx.conf"
        text = body.format(port=self.port, directory=directory, **values)
        config.write_text(COMMON.format(directory=directory, workers=workers, body=text))
        self.process = Process(["nginx", "-p", directory, "-c", config], directory / "nginx.log",
                               env={"PATH": "/usr/sbin:/usr/bin:/bin"})
        self.process.wait_until(lambda: accepts_connections(self.port), "nginx listens")

    def pids(self):
        """Of the master and its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def stop(self):
        self.process.stop()
