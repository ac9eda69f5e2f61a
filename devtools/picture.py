"""A picture of a stack's real graph: a box for each component with its resources, an arrow where one waits for another.

The layout is layered: a box stands below all that it waits for. An arrow that passes a row has a lane of its own in
it, so that it crosses no box. Everything is computed from the graph, so the same graph gives the same file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from devtools import order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devtools.graph import Graph, Node

WIDTH, TITLE, LINE, PAD = 264, 26, 17, 9  # of a box, its title, a line of text in it, its inner edge; in pixels
ROW_GAP, GAP, MARGIN, LANE = 44, 20, 24, 12  # between rows, in a row, around all; the width of an arrow's own lane
LEGEND: Final = 780  # the width of the legend
SWEEPS: Final = 12  # how often the order in the rows is improved; it settles after a few
CHARACTERS: Final = 38  # that fit into a box's line
# Where the resources of a box are: the name for the legend, the fill, the edge.
PLACES: Final = {
    "host": ("on this host", "#f1f1ee", "#6b6b66"),
    "machine": ("on a machine", "#e3f1e4", "#3c7a45"),
    "cluster": ("in the cluster", "#e2edf9", "#2f6db3"),
}


@dataclass
class _Box:
    """A component, or a resource of no component; without lines, the lane of a long arrow."""

    key: str
    title: str = ""
    lines: list[tuple[int, str]] = field(default_factory=list)
    place: str = "host"
    row: int = 0
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        return WIDTH if self.title else LANE

    @property
    def height(self) -> float:
        return TITLE + LINE * len(self.lines) + PAD if self.title else 0

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def svg(graph: Graph) -> str:
    """Return the picture of a stack."""
    boxes, edges = _boxes(graph)
    _rows(boxes, edges)
    paths = _lanes(boxes, edges)
    rows = _arrange(boxes, paths)
    width = max(box.x + box.width for row in rows for box in row) + MARGIN
    height = max(box.y + box.height for row in rows for box in row) + MARGIN
    bottoms = [max(box.y + box.height for box in row) for row in rows]
    body = [*_arrows(boxes, paths, bottoms), *(_drawn(box) for box in boxes.values() if box.title)]
    return _document(graph.stack, max(width, LEGEND), height, [*body, *_legend(boxes.values(), height)])


def _boxes(graph: Graph) -> tuple[dict[str, _Box], set[tuple[str, str]]]:
    """Return the boxes by the URN of the component or resource, and which waits for which."""
    found = order.of(graph)
    owner: dict[str, str] = {}
    boxes = {}
    for branch in order.tree(graph, found):
        nodes = [node for node in _inside(branch) if node.custom]
        for node in nodes:
            owner[node.urn] = branch.node.urn
        nodes.sort(key=lambda node: (found.steps[node.urn], node.name))
        lines = [(found.steps[node.urn], f"{order.label(node)} {node.name}") for node in nodes]
        title = f"{order.label(branch.node)} {branch.node.name}"
        boxes[branch.node.urn] = _Box(branch.node.urn, title, lines, _place(nodes))
    edges = {
        (owner[other], owner[urn])
        for urn, waits in found.waits.items()
        for other in waits
        if owner[other] != owner[urn]
    }
    return boxes, _reduced(edges)


def _inside(branch: order.Branch) -> Iterable[Node]:
    yield branch.node
    for each in branch.branches:
        yield from _inside(each)


def _place(nodes: list[Node]) -> str:
    types = [node.type for node in nodes]
    if any(type_.startswith("kubernetes:") for type_ in types):
        return "cluster"
    on_machine = ("command:remote:", "pulumi-python:dynamic/machine:", "pulumi-python:dynamic/k3s:")
    return "machine" if any(type_.startswith(on_machine) for type_ in types) else "host"


def _reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out an edge when another way leads there."""

    def reaches(start: str, end: str, seen: set[str]) -> bool:
        seen.add(start)
        following = {after for before, after in edges if before == start} - seen
        return end in following or any(reaches(each, end, seen) for each in sorted(following))

    return {
        (start, end)
        for start, end in edges
        if not any(reaches(other, end, set()) for before, other in edges if before == start and other != end)
    }


def _rows(boxes: dict[str, _Box], edges: set[tuple[str, str]]) -> None:
    """Put each box below all that it waits for, and what waits for nothing just above what needs it."""
    for _ in boxes:
        for start, end in sorted(edges):
            boxes[end].row = max(boxes[end].row, boxes[start].row + 1)
    for key, box in boxes.items():
        after = [boxes[end].row for start, end in edges if start == key]
        if after and not any(end == key for _, end in edges):
            box.row = min(after) - 1


def _lanes(boxes: dict[str, _Box], edges: set[tuple[str, str]]) -> list[list[str]]:
    """Give every arrow a lane in each row that it passes; return the boxes and lanes on its way."""
    paths = []
    for start, end in sorted(edges):
        path = [start]
        for row in range(boxes[start].row + 1, boxes[end].row):
            key = f"{start} > {end} in {row}"
            boxes[key] = _Box(key, row=row)
            path.append(key)
        paths.append([*path, end])
    return paths


def _arrange(boxes: dict[str, _Box], paths: list[list[str]]) -> list[list[_Box]]:
    """Order the boxes in their rows so that arrows are short, and place them; return the rows."""
    last = max(box.row for box in boxes.values())
    rows = [[box for box in boxes.values() if box.row == number] for number in range(last + 1)]
    pairs = [pair for path in paths for pair in pairwise(path)]
    before = {key: [start for start, end in pairs if end == key] for key in boxes}
    after = {key: [end for start, end in pairs if start == key] for key in boxes}
    for row in rows:
        row.sort(key=lambda box: box.title or box.key)
        _beside(row)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _improve(row, boxes, before if down else after)
    widest = max(rows, key=_width)
    left, y = widest[0].x, float(MARGIN)
    for row in rows:
        # No row stands out beside the widest one.
        inside = max(left, min(row[0].x, left + _width(widest) - _width(row)))
        offset = inside - row[0].x + MARGIN - left
        for box in row:
            box.x, box.y = box.x + offset, y
        y += max(box.height for box in row) + ROW_GAP
    return rows


def _width(row: list[_Box]) -> float:
    return row[-1].x + row[-1].width - row[0].x


def _improve(row: list[_Box], boxes: dict[str, _Box], others: dict[str, list[str]]) -> None:
    """Order a row by where the boxes in the next one are that belong to each, and put it in the middle of them."""
    wanted = {
        box.key: sum(boxes[each].middle for each in others[box.key]) / len(others[box.key])
        if others[box.key]
        else box.middle
        for box in row
    }
    row.sort(key=lambda box: (wanted[box.key], box.key))
    _beside(row)
    offset = sum(wanted[box.key] - box.middle for box in row) / len(row)
    for box in row:
        box.x += offset


def _beside(row: list[_Box]) -> None:
    x = 0.0
    for box in row:
        box.x = x
        x += box.width + GAP


def _arrows(boxes: dict[str, _Box], paths: list[list[str]], bottoms: list[float]) -> list[str]:
    """Return the arrows; those that leave or reach the same box are spread over its side.

    Args:
        boxes: the boxes and lanes.
        paths: the arrows' ways.
        bottoms: where each row ends.
    """
    leaving = {key: sorted((boxes[path[1]].middle, path[-1]) for path in paths if path[0] == key) for key in boxes}
    reaching = {key: sorted((boxes[path[-2]].middle, path[0]) for path in paths if path[-1] == key) for key in boxes}

    def side(box: _Box, ends: list[tuple[float, str]], other: str) -> float:
        place = [key for _, key in ends].index(other) + 1
        return box.x + box.width * place / (len(ends) + 1)

    drawn = []
    for path in paths:
        first, last = boxes[path[0]], boxes[path[-1]]
        x = side(first, leaving[first.key], last.key)
        way = f"M{x:.0f},{first.y + first.height:.0f} V{bottoms[first.row]:.0f}"
        y = bottoms[first.row]
        for key in path[1:]:
            box = boxes[key]
            to = side(box, reaching[box.key], first.key) if box is last else box.middle
            end = box.y - 4 if box is last else box.y
            middle = (y + end) / 2
            way += f" C{x:.0f},{middle:.0f} {to:.0f},{middle:.0f} {to:.0f},{end:.0f}"
            x, y = to, bottoms[box.row]
            if box is not last:
                way += f" V{y:.0f}"
        drawn.append(f'<path d="{way}" class="arrow" marker-end="url(#head)"/>')
    return drawn


def _drawn(box: _Box) -> str:
    _, fill, edge = PLACES[box.place]
    place = f'x="{box.x:.0f}" y="{box.y:.0f}" width="{WIDTH}" height="{box.height:.0f}"'
    rows = [
        f'<rect {place} rx="6" fill="{fill}" stroke="{edge}"/>',
        f'<text x="{box.x + PAD:.0f}" y="{box.y + 18:.0f}" class="title">{escape(_short(box.title))}</text>',
    ]
    for number, (step, text) in enumerate(box.lines):
        y = box.y + TITLE + LINE * number + 12
        rows.append(
            f'<text x="{box.x + PAD + 14:.0f}" y="{y:.0f}" class="step">{step}</text>'
            f'<text x="{box.x + PAD + 20:.0f}" y="{y:.0f}">{escape(_short(text))}</text>'
        )
    return "\n".join(rows)


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"


def _legend(boxes: Iterable[_Box], height: float) -> list[str]:
    used = {box.place for box in boxes if box.title}
    drawn, x, y = [], MARGIN, height
    for place in (each for each in PLACES if each in used):
        name, fill, edge = PLACES[place]
        drawn.append(f'<rect x="{x}" y="{y:.0f}" width="14" height="14" rx="3" fill="{fill}" stroke="{edge}"/>')
        drawn.append(f'<text x="{x + 20}" y="{y + 11:.0f}">{name}</text>')
        x += 130
    drawn.append(f'<text x="{x}" y="{y + 11:.0f}">the number is the step; what has the same one is made at once</text>')
    return drawn


HEAD: Final = """\
<style>
text { font: 12px sans-serif; fill: #1d1d1b }
.title { font-weight: bold; font-size: 13px }
.step { fill: #77776f; text-anchor: end }
.arrow { fill: none; stroke: #55554f; stroke-width: 1.3 }
</style>
<defs>
<marker id="head" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="#55554f"/>
</marker>
</defs>"""


def _document(stack: str, width: float, height: float, body: list[str]) -> str:
    size = f"{width:.0f} {height + 14 + MARGIN:.0f}"
    attributes = f'viewBox="0 0 {size}" role="img" aria-label="The resources of {stack}"'
    back = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>', HEAD, back, *body, "</svg>", ""])
