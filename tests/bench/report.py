"""The results as people and programs read them: table.md, results.json, and a plot of each line."""

import json
import statistics
from dataclasses import asdict

from tests.bench import plot
from tests.bench.line import DIFFERENCE, RATIO, readable

BEGIN, END = "<!-- figures: ./bench --docs -->", "<!-- end of figures -->"
HEAD = "| work | layover | peer | figure | reach | reached |\n| --- | --- | --- | --- | --- | --- |\n"


def table_row(line):
    """One line of the Markdown table."""
    peer = f"{line.peer}: {readable(line.median(line.peer))}" if line.peer else "-"
    if line.target.how == RATIO:
        figure, reach = f"{line.figure:.2f}x", f"{line.target}"
    else:
        more = " more" if line.target.how == DIFFERENCE else ""
        figure, reach = f"{readable(line.figure)} {line.unit}{more}", f"{line.target} {line.unit}{more}"
    title = "; ".join([line.title, *line.notes])
    return (f"| {title} | {readable(line.value)} {line.unit} | {peer} | {figure} | {reach} |"
            f" {'yes' if line.is_reached else 'no'} |\n")


def machine_text(machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (f"{machine['date']}, commit {machine['commit']}; {machine['cpu']}, {machine['cores']} cores,"
            f" {machine['memory_gib']} GiB, Linux {machine['kernel']}; load before the run"
            f" {machine['load_before']:.1f}; medians of {machine['rounds']} alternating rounds. {versions}.\n")


def markdown(machine, lines):
    return machine_text(machine) + "\n" + HEAD + "".join(map(table_row, lines))


def as_json(machine, lines):
    def one(line):
        return {"title": line.title, "unit": line.unit, "ours": line.ours, "peer": line.peer,
                "figure": line.figure, "target": asdict(line.target), "is_reached": line.is_reached,
                "notes": line.notes, "samples": line.samples,
                "medians": {name: statistics.median(values) for name, values in line.samples.items()}}
    return json.dumps({"machine": machine, "lines": [one(line) for line in lines]}, indent=1, ensure_ascii=False)


def write(directory, machine, lines):
    """All files; what an earlier run left there goes."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.svg"):
        old.unlink()
    (directory / "table.md").write_text(markdown(machine, lines))
    (directory / "results.json").write_text(as_json(machine, lines) + "\n")
    for number, line in enumerate(lines, 1):
        (directory / f"{number:02}.svg").write_text(plot.svg(line))


def write_into(page, machine, lines):
    """Puts the table in the place of the one that an earlier run has left in a page."""
    text = page.read_text()
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert mark and end, f"{page} has no {BEGIN} with an {END} behind"
    page.write_text(f"{before}{BEGIN}\n{markdown(machine, lines)}{END}{after}")
