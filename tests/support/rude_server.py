"""An upstream that breaks the rules of the wire: it accepts connections and then does to each what a test
has chosen."""

import socket
import struct
import threading


def be_silent(connection):
    """Takes what comes, until the peer gives up."""
    while connection.recv(65536):
        pass


def talk_nonsense(connection):
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def close_without_an_answer(connection):
    connection.recv(65536)


def reset(connection):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class RudeServer:
    def __init__(self, behave):
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self._behave(connection)
            except OSError:
                pass  # the peer was quicker
