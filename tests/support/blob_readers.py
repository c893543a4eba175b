"""Starts blob_reader.py programs and collects what they tell."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("blob_reader.py")


class BlobReader:
    def __init__(self, url, bytes_per_second=None):
        limit = [str(bytes_per_second)] if bytes_per_second else []
        self._child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, PROGRAM, url, *limit],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def go(self):
        self._say("go")

    def free(self):
        """Lifts the limit on its speed."""
        self._say("free")

    def next_report(self):
        """Waits for its first byte, then for its end; what it says of either."""
        line = self._child.stdout.readline()
        assert line, f"a client ended without a word, status {self._child.wait(10)}"
        return json.loads(line)

    def stop(self):
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()

    def _say(self, word):
        self._child.stdin.write(word + "\n")
        self._child.stdin.flush()
