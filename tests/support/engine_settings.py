"""The engines' settings as docs/engines.md shows them to users, so that the tests run just those."""

import re

from tests.support.images import ROOT

_DOCUMENT = ROOT / "docs" / "engines.md"
SHOWN_ADDRESS = "127.0.0.1:5000"


def shown(file):
    """The first block of code after a mention of `file`."""
    text = _DOCUMENT.read_text()
    found = re.search(rf"`{re.escape(file)}`.*?\n```\w+\n(?P<block>.*?)\n```", text, re.DOTALL)
    assert found, f"docs/engines.md does not show {file}"
    return found["block"] + "\n"


def adapted(file, **changes):
    """That block with other names: adapted(file, **{"what it shows": "what is meant"})."""
    block = shown(file)
    for there, here in changes.items():
        assert there in block, f"docs/engines.md shows {file} without {there}"
        block = block.replace(there, here)
    return block
