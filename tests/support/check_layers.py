"""Checks how the source tree is built: `check_layers.py [ROOT]`, or `--self-test` to check the check.

Includes only go down the layers and make no circles; the heavy third-party headers stay out of our
headers; every file starts with what it is for; no function over 70 lines, no file over 600.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

# A folder of src/ -> the folders that it may include besides itself.
LAYERS = {
    "base": (),
    "oci": ("base",),
    "config": ("oci", "base"),
    "metrics": ("config", "oci", "base"),
    "net": ("base",),
    "cache": ("net", "metrics", "config", "oci", "base"),
    "upstream": ("cache", "net", "metrics", "config", "oci", "base"),
    "proxy": ("upstream", "cache", "net", "metrics", "config", "oci", "base"),
}
HEAVY_HEADERS = ("nlohmann/", "prometheus/", "CLI/")
# Headers that only their own folder's .cc files include, and that are about such a library.
INTERNAL_HEADERS = ("src/metrics/family.h", "src/metrics/families.h")
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600

QUOTED_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
ANY_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


class Source:
    """One file, with its path relative to the root."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.splitlines()

    def is_cpp(self):
        return self.path.endswith((".h", ".cc"))

    def is_header(self):
        return self.path.endswith(".h")

    def is_product(self):
        return self.path.startswith("src/")

    def layer(self):
        """The layer that it belongs to: src/<layer>/... or tests/unit/<layer>/...; None elsewhere."""
        match = re.match(r"(?:src|tests/unit)/([^/]+)/", self.path)
        return match[1] if match else None

    def includes(self, pattern=QUOTED_INCLUDE):
        """(line number, name) of each include."""
        for number, line in enumerate(self.lines, 1):
            match = pattern.match(line)
            if match:
                yield number, match[1]


def read_tree(root):
    kinds = (".h", ".cc", ".c", ".py", ".sh")
    paths = [p for top in ("src", "tests") for p in sorted((root / top).rglob("*")) if p.suffix in kinds]
    return [Source(root, path) for path in paths]


def check_purpose(source):
    """A file starts with a comment (a docstring in Python) that says what it is for."""
    lines = source.lines[1:] if source.text.startswith("#!") else source.lines
    first = lines[0] if lines else ""
    starts = {".h": ("//",), ".cc": ("//",), ".c": ("//", "/*"), ".sh": ("# ",), ".py": ("# ", '"""', 'r"""')}
    if not first.startswith(starts[Path(source.path).suffix]):
        yield f"{source.path}:1: does not start with a comment that says what the file is for"


def check_layer(source):
    layer = source.layer()
    if layer is None or not source.is_cpp():
        return
    if layer not in LAYERS:
        yield f"{source.path}:1: {layer}/ is no layer; the layers are {', '.join(LAYERS)}"
        return
    allowed = (layer, *LAYERS[layer])
    for number, name in source.includes():
        folder = name.split("/")[0]
        if folder == "tests" and not source.is_product():
            continue
        if name.endswith(".cc"):
            yield f'{source.path}:{number}: includes "{name}": include headers only'
        elif folder not in LAYERS:
            yield f'{source.path}:{number}: includes "{name}": name our headers as "folder/file.h"'
        elif folder not in allowed:
            yield f'{source.path}:{number}: includes "{name}": {layer}/ may include only {", ".join(allowed)}'


def check_heavy_headers(source):
    if not source.is_header():
        return
    for number, name in source.includes(ANY_INCLUDE):
        if name.startswith(HEAVY_HEADERS) and source.path not in INTERNAL_HEADERS:
            yield f"{source.path}:{number}: includes <{name}>: only a .cc file may, it is slow to compile"


def check_length(source):
    if len(source.lines) > MAX_FILE_LINES:
        yield f"{source.path}:1: {len(source.lines)} lines; the limit is {MAX_FILE_LINES}"
    for number, length, head in functions_of(source) if source.is_cpp() else ():
        if length > MAX_FUNCTION_LINES:
            yield f"{source.path}:{number}: {length} lines in {head}; the limit is {MAX_FUNCTION_LINES}"


def check_circles(sources):
    """The headers of one folder include each other without circles (across folders, layers see to it)."""
    edges = {}
    for source in sources:
        if source.is_product() and source.is_header():
            edges[source.path] = [f"src/{name}" for _, name in source.includes()]
    is_done = set()

    def visit(path, trail):
        if path in trail:
            yield f"{path}:1: includes itself: {' -> '.join([*trail[trail.index(path):], path])}"
        elif path not in is_done:
            for target in edges.get(path, ()):
                yield from visit(target, [*trail, path])
            is_done.add(path)

    for path in edges:
        yield from visit(path, [])


NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\ ]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*\#(?:\\\n|[^\n])*",
    re.DOTALL | re.MULTILINE,
)


def blank_out(text):
    """The text without comments, strings, characters and directives, lines kept."""
    return NOT_CODE.sub(lambda match: "\n" * match[0].count("\n"), text)


def functions_of(source):
    """(first line, length in lines, head) of each function body at namespace or class level.

    Follows braces: those of namespaces and classes are scopes; one opened directly in scopes after a
    parameter list is a function. A brace right after a name ("member_{1}") is an initializer.
    """
    code = blank_out(source.text)
    stack = []  # (kind, line of the head, head) for each open brace
    head_begin = 0
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:(?!:)", code):
        sign, position = match[0], match.end() - 1
        is_in_scopes = all(kind == "scope" for kind, _, _ in stack)
        head = code[head_begin:position]
        if sign == "{":
            stack.append((kind_of(head, code[position - 1 : position]) if is_in_scopes else "inner",
                          line_of(code, head_begin, head), " ".join(head.split())))
            if stack[-1][0] != "initializer" and is_in_scopes:
                head_begin = position + 1
        elif sign == "}":
            kind, line, head = stack.pop() if stack else ("inner", 1, "")
            if kind == "function":
                yield line, code.count("\n", 0, position) + 2 - line, head[:60]
            if kind in ("scope", "function"):
                head_begin = position + 1
        elif is_in_scopes:
            head_begin = position + 1


def kind_of(head, character_before):
    if character_before and (character_before.isalnum() or character_before in "_>=(,"):
        return "initializer"
    without_templates = re.sub(r"^\s*template\s*<[^{};]*?>\s*(?=(?:class|struct|union)\b)", "", head)
    if re.match(r"\s*(?:inline\s+)?(?:namespace|class|struct|union|enum|extern)\b[^()]*$", without_templates):
        return "scope"
    if re.search(r"(?<![=!<>])=\s*$", head):
        return "initializer"
    return "function" if "(" in head else "scope"


def line_of(code, head_begin, head):
    """The line on which the head's first word stands."""
    return code.count("\n", 0, head_begin + len(head) - len(head.lstrip())) + 1


def problems_of(root):
    sources = read_tree(root)
    for source in sources:
        yield from check_purpose(source)
        yield from check_layer(source)
        yield from check_heavy_headers(source)
        yield from check_length(source)
    yield from check_circles(sources)


GOOD_TREE = {
    "src/base/error.h": "// Errors.\n#pragma once\n",
    "src/net/socket.h": '// Sockets.\n#include "base/error.h"\n',
    "src/net/socket.cc": '// Sockets.\n#include "net/socket.h"\n#include <nlohmann/json.hpp>\n',
    "tests/unit/net/socket_test.cc": '// Tests.\n#include "net/socket.h"\n#include "tests/support/catch.h"\n',
    "tests/e2e/test_pull.py": '#!/usr/bin/env python3\n"""Pulls."""\n',
}
LONG_BODY = "".join(f"  work({i});\n" for i in range(69))
# One bad file each, and a part of the complaint that it must raise.
BAD_FILES = (
    ("src/net/up.h", '// Goes up.\n#include "cache/store.h"\n', "net/ may include only net, base"),
    ("src/base/up.cc", '// Goes up.\n#include "oci/digest.h"\n', "base/ may include only base"),
    ("src/oci/side.h", '// Product needs tests.\n#include "tests/support/catch.h"\n', 'as "folder/file.h"'),
    ("src/oci/near.cc", '// Without its folder.\n#include "near.h"\n', 'as "folder/file.h"'),
    ("src/oci/all.cc", '// A source.\n#include "oci/near.cc"\n', "include headers only"),
    ("src/extra/new.h", "// An unknown folder.\n", "extra/ is no layer"),
    ("tests/unit/base/up_test.cc", '// Goes up.\n#include "net/socket.h"\n', "base/ may include only base"),
    ("src/base/circle.h", '// Itself.\n#include "base/circle.h"\n', "includes itself"),
    ("src/oci/json.h", "// Heavy.\n#include <nlohmann/json.hpp>\n", "only a .cc file may"),
    ("src/oci/silent.h", "#pragma once\n", "does not start with a comment"),
    ("tests/e2e/silent.py", "import os\n", "does not start with a comment"),
    ("src/oci/long.h", "// Long.\n" * 601, "601 lines"),
    ("src/oci/story.cc", f"// Long.\nvoid f(int a) {{\n{LONG_BODY}}}\n", "71 lines in void f(int a)"),
    ("src/oci/init.cc", f"// Long.\nclass A {{\n A(int a) : a_{{a}}, b_{{1}} {{\n{LONG_BODY}}}\n}};\n",
     "71 lines in A(int a)"),
    ("src/oci/brace.cc", f"// Long.\nauto f() -> int {{\n  // {{ \"\n  g('{{', \"{{\");\n{LONG_BODY}}}\n",
     "73 lines in auto f()"),
)


def self_test():
    """Finds nothing in a good tree, and in each bad one exactly what is bad."""
    faults = [f"a good tree: {problem}" for problem in problems_in(GOOD_TREE)]
    for path, text, complaint in BAD_FILES:
        found = problems_in({**GOOD_TREE, path: text})
        if len(found) != 1 or not found[0].startswith(path) or complaint not in found[0]:
            faults.append(f"{path}: wanted one complaint with '{complaint}', got {found}")
    circle = {"src/net/a.h": '// A.\n#include "net/b.h"\n', "src/net/b.h": '// B.\n#include "net/a.h"\n'}
    if not any("a.h -> src/net/b.h -> src/net/a.h" in problem for problem in problems_in(circle)):
        faults.append("a circle of two headers was not found")
    return faults


def problems_in(tree):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in tree.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return list(problems_of(Path(folder)))


def main():
    if sys.argv[1:] == ["--self-test"]:
        problems = self_test()
    else:
        root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
        problems = list(problems_of(root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
