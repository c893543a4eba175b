"""Starts and ends the programs of a test: each by its own process id, its output in a file that a
failing test shows, and dead with the test run itself (parent-death signal), so nothing is left behind."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path


def wait_until(is_so, what, timeout=10.0, every=0.01):
    """Polls `is_so` until it gives a true value, which is returned; fails with `what` otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        value = is_so()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        time.sleep(every)


_given_ports = set()


def free_port():
    """A port nobody listens on, from below the range that outgoing connections take theirs from; never the same
    one twice, since who asked first may not listen yet."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def accepts_connections(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One running program. `log` is the file with its standard output and error; the former goes elsewhere
    where `stdout` is a descriptor."""

    def __init__(self, command, log, env=None, cwd=None, stdout=None):
        self.log = Path(log)
        self.command = [str(part) for part in command]
        with open(self.log, "ab") as out:
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command],
                stdin=subprocess.DEVNULL, stdout=out if stdout is None else stdout, stderr=out, cwd=cwd,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self._child.pid

    @property
    def exit_status(self):
        """None while it runs; negative numbers are signals."""
        return self._child.poll()

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self, timeout=10.0):
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout:g} s: {self.command[0]}\n{self.tail()}") from None

    def wait_until(self, is_ready, what, timeout=10.0):
        """Like wait_until(), but fails at once, with the output, when the program ends."""
        def ready_or_dead():
            if self.exit_status is not None:
                raise RuntimeError(f"{self.command[0]} ended with {self.exit_status} before {what}\n{self.tail()}")
            return is_ready()
        try:
            return wait_until(ready_or_dead, what, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.tail()}") from None

    def signal(self, number):
        if self.exit_status is None:
            os.kill(self.pid, number)

    def stop(self, timeout=10.0):
        """Asks it to end, insists after `timeout`, and gives its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self._child.wait()

    def tail(self, lines=40):
        return "\n".join(self.output().splitlines()[-lines:])


def run(command, timeout=120, check=True, env=None, cwd=None):
    """Runs a command to its end; its output is part of the error when it fails."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout,
                          env={**os.environ, **(env or {})}, cwd=cwd)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done
