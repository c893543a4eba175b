"""The engines' way to the world, which is closed: an HTTP proxy that lets nobody through and notes where
they wanted to go. So a test sees an engine leave layover for the registry itself, with no network."""

import threading

from tests.support.https_server import Handler, HttpsServer


class WayOut:
    def __init__(self):
        self._lock = threading.Lock()
        self._wanted = []
        self._server = HttpsServer(_Handler, self)

    @property
    def environment(self):
        """For an engine: all but this machine through here."""
        url = f"http://127.0.0.1:{self._server.port}"
        names = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1,localhost"}
        return {**names, **{name.lower(): value for name, value in names.items()}}

    def hosts(self):
        """Who was asked for so far, as host:port."""
        with self._lock:
            return set(self._wanted)

    def note(self, host):
        with self._lock:
            self._wanted.append(host)

    def stop(self):
        self._server.stop()


class _Handler(Handler):
    def do_CONNECT(self):
        self.owner.note(self.path)
        self.answer(502)
