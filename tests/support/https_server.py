"""What the scripted servers of the tests share: an HTTP/1.1 server on a loopback port, with or without
TLS, one thread a connection, that can be stopped (connections cut, port refused) and started again."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.processes import free_port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, handler, tls):
        self.tls = tls
        self.open_sockets = set()
        super().__init__(address, handler)

    def handle_error(self, request, client_address):
        pass  # A client that goes away, or that a test cuts off, is no news.

    def process_request_thread(self, request, client_address):
        # The handshake happens here, in the connection's own thread, never in the accepting one.
        self.open_sockets.add(request)
        plain = request
        try:
            if self.tls is not None:
                request.settimeout(20)
                request = self.tls.wrap_socket(request, server_side=True)
                self.open_sockets.add(request)
            request.settimeout(120)
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass
        finally:
            self.open_sockets.discard(plain)
            self.open_sockets.discard(request)
            self.shutdown_request(request)


class HttpsServer:
    """Runs `handler_class` (a Handler below); `owner` in the handler is the object given here."""

    def __init__(self, handler_class, owner, tls=None):
        self.port = free_port()
        self._tls = tls
        self._handler = type("BoundHandler", (handler_class,), {"owner": owner})
        self._server = None
        self.start()

    def start(self):
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), self._handler, self._tls)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Refuses new connections and cuts the open ones."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        for connection in list(server.open_sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Handler(BaseHTTPRequestHandler):
    """Base of the scripted servers' request handlers; quiet, HTTP/1.1 with keep-alive."""

    protocol_version = "HTTP/1.1"
    owner = None
    disable_nagle_algorithm = True

    def log_message(self, *unused):
        pass

    def answer(self, status, headers=(), body=b""):
        """A whole answer; for HEAD the body is only counted."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
