"""docs/troubleshooting.md is ordered by message: each is what the code says now, and what a test expects.

Tests count that have a message's words in a string; docstrings do not. Whether a test provokes it or feeds it in is
not told here.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from lab.host import paths
from tests import pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

pytestmark = pytest.mark.unit

PAGE: Final = "docs/troubleshooting.md"
# How a paragraph begins: with one or more bold parts, or with what is in code style.
BOLD: Final = re.compile(r"(?:\*\*.+?\*\*(?:, (?=\*\*))?)+")
CODE: Final = re.compile(r"`([^`]+)`")
COMMAND: Final = re.compile(r"make [a-z]+")  # says the message, and is none
# What stands for anything in a message of the page: dots, words in capitals, numbers, and names as the labs have them.
ANYTHING: Final = re.compile(
    r"""'?(?:\.\.\.
    |\b(?!API\b|HTTP\b|PATH\b|YAML\b)[A-Z]{3,}\b
    |\(hidden\)
    |\bPulumi\.p\d\.yaml\b|\bp\d\b|\bv\d\b
    |\biot(?:-[a-z/-]+\b|\b(?![:-]))|\bflask-app\b|\bargocd\b|\bprod\b|\bdev\b
    |(?<![\w.])\d+(?:\.\d+)*\b)'?""",
    re.VERBOSE,
)
# A setting, of which the code has the name apart; tests/unit/test_docs.py looks whether there is one of that name.
SETTING: Final = re.compile(r"\biot:\w*")
HOLE: Final = "\0"  # where an f-string, or a regular expression, has something else
EDGE: Final = re.compile(r"^\W+|\W+$")
SENTENCE: Final = re.compile(r"(?<=[\w)\0])[.:] ")  # where the code may have two strings, of two files
GAP: Final = re.compile(r"\.[*+]\??")

TESTS: Final = sorted(set((paths.ROOT / "tests").rglob("test_*.py")) - {Path(__file__)})
PROGRAM: Final = [paths.ROOT / "__main__.py"] + [
    path
    for folder in ("components", "devtools", "lab", "policy")
    for path in sorted((paths.ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".lua", ".sh", ".yaml"}
]
# What others than this project say.
OTHERS: Final = {
    "Pulumi": (
        "incorrect passphrase",
        "the stack is currently locked",
        "could not find provider urn:...",
        "If you want to remove the stack completely, run ...",
    ),
    "Pulumi's plugin for Kubernetes": ("configured Kubernetes cluster is unreachable",),
    "Helm": ("release argocd failed, and has been uninstalled", "cannot re-use a name that is still in use"),
    "Argo CD": (
        "ComparisonError ... authentication required",
        "... resource :Namespace is not permitted in project iot",
    ),
    "Kubernetes": ("ImagePullBackOff", "ErrImagePull", "CrashLoopBackOff"),
    "Sealed Secrets": ("no key could decrypt secret",),
}
# What no test provokes, and why.
NOT_PROVOKED: Final = {
    "release argocd failed, and has been uninstalled": "it takes a cluster in which pods do not get ready",
    "cannot re-use a name that is still in use": "it takes a cluster that was lost while Helm was at work in it; that "
    "what Helm has left there is removed is in tests/unit/test_drift.py",
}


def messages(text: str) -> Iterator[str]:
    """Yield the messages by which a page is ordered: those with which its paragraphs begin, and tables' rows."""
    for block in text.split("\n\n"):
        if block.startswith("|"):
            found = [each for row in block.splitlines()[2:] for each in CODE.findall(row.split("|")[1])]
        else:
            paragraph = " ".join(block.split())
            bold, plain = BOLD.match(paragraph), CODE.match(paragraph)
            found = CODE.findall(bold[0]) if bold else [plain[1]] if plain else []
        yield from (each for each in found if not COMMAND.fullmatch(each) and fragments(each))


def fragments(message: str) -> list[str]:
    """Return what is between that which stands for anything, in its order."""
    found = (EDGE.sub("", each) for each in ANYTHING.sub(HOLE, message).split(HOLE))
    return [each for each in found if each]


@cache
def strings(path: Path) -> tuple[str, ...]:
    """Return what a file has in strings, each on one line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        found = list(_of_python(ast.parse(text)))
    else:
        found = re.findall(r'"([^"\n]*)"', text) if path.suffix == ".lua" else [text]
    return tuple(" ".join(each.split()) for each in found)


def _of_python(tree: ast.Module) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    joined = [each for each in nodes if isinstance(each, ast.JoinedStr)]
    others = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}  # docstrings
    others |= {id(part) for each in joined for part in each.values}
    for each in joined:
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in each.values)
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in others:
            yield node.value


@cache
def by_tests() -> tuple[str, ...]:
    """Return what the tests have in strings; of regular expressions, the words."""
    found = (GAP.sub(HOLE, each) for path in TESTS for each in strings(path))
    return tuple(re.sub(r"\\(\W)", r"\1", each) for each in found)


def is_tested(message: str) -> bool:
    """Tell whether a test has the words of a message in one string, in their order."""
    words = re.compile(".+?".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in fragments(message)))
    return any(words.search(each) for each in by_tests())


@cache
def by_program() -> tuple[tuple[str, ...], ...]:
    """Return what each file of the program has in strings, in the parts between what is put in."""
    return tuple(tuple(part.strip() for each in strings(path) for part in each.split(HOLE)) for path in PROGRAM)


def is_in(message: str, files: Iterable[Sequence[str]]) -> bool:
    """Tell whether a program says a message: each of its sentences by one file, which may put it together.

    Args:
        message: as the page has it.
        files: the parts of strings that each of the program's files has.
    """
    sentences = SENTENCE.split(ANYTHING.sub(HOLE, SETTING.sub(HOLE, message)))
    needed = [fragments(each) for each in sentences]
    return all(any(all(_put_together(each, parts) for each in words) for parts in files) for words in needed)


def _put_together(words: str, parts: Sequence[str]) -> bool:
    """Tell whether words are in one part, or go on from the end of one, through whole ones, to where another begins."""

    def goes_on(rest: str) -> bool:
        begins = re.compile(rf"{re.escape(rest)}(?!\w)")
        return any(map(begins.match, parts)) or any(left in parts and goes_on(right) for left, right in _split(rest))

    within = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
    return any(map(within.search, parts)) or any(
        goes_on(right) for left, right in _split(words) if any(f" {each}".endswith(f" {left}") for each in parts)
    )


def _split(words: str) -> Iterator[tuple[str, str]]:
    for space in re.finditer(" ", words):
        yield words[: space.start()], words[space.end() :]


MESSAGES: Final = list(dict.fromkeys(messages(pages.text(PAGE))))
THEIRS: Final = [each for said in OTHERS.values() for each in said]


def test_the_page_has_messages() -> None:
    assert len(MESSAGES) > 70
    assert set(THEIRS) | set(NOT_PROVOKED) <= set(MESSAGES)


@pytest.mark.parametrize("message", [each for each in MESSAGES if each not in NOT_PROVOKED])
def test_a_message_of_the_page_is_one_that_a_test_provokes(message: str) -> None:
    assert is_tested(message), "the page has other words than the test that provokes it, or there is none"


@pytest.mark.parametrize("message", [each for each in MESSAGES if each not in THEIRS])
def test_a_message_of_the_page_is_one_that_the_program_has(message: str) -> None:
    assert is_in(message, by_program()), "the program has other words by now: correct the page"


def test_what_others_say_and_what_no_test_provokes_is_no_more_than_that() -> None:
    assert [each for each in NOT_PROVOKED if is_tested(each)] == []
    assert [each for each in THEIRS if is_in(each, by_program())] == []


@pytest.mark.parametrize(
    "message",
    [
        "The k3d cluster iot-cluster has not come up",
        "Port 8888 of 127.0.0.1 is not free",
        "... is a branch of no ...",
        "the cluster is silent",
        "What prod has in the namespace prod is left there: the cluster does not answer",
        "There is no such setting ...",
    ],
)
def test_other_words_for_the_same_are_neither_provoked_nor_said(message: str) -> None:
    assert not is_tested(message)
    assert not is_in(message, by_program())


def test_messages_are_where_a_paragraph_or_a_row_begins() -> None:
    page = (
        "Text with `no message`.\n\n**`one of ...`**, **`two`** and `no more`\n\n**`make up` says `three\nwords`** or"
        "\n\n`four` and `not five`\n\n| it says | do |\n|---|---|\n| `six`, `seven` | `eight` |\n\n**Nothing**: `it`\n"
    )
    assert list(messages(page)) == ["one of ...", "two", "three words", "four", "six", "seven"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Port 8888 of 127.0.0.1 is taken", ["Port", "of", "is taken"]),
        ("A k3d cluster iot-cluster is here already, and ...", ["A k3d cluster", "is here already, and"]),
        ("Pulumi.p3.yaml:LINE:COLUMN is not YAML", ["is not YAML"]),
        ("there is no version 'v3' of iot-lab/flask-app", ["there is no version", "of"]),
        ("PIP_INDEX_URL has a login in it", ["PIP_INDEX_URL has a login in it"]),
    ],
)
def test_a_message_is_what_is_between_its_names(message: str, words: list[str]) -> None:
    assert fragments(message) == words


@pytest.mark.parametrize(
    ("parts", "is_it"),
    [
        (["the cluster", "(", "does not answer"], True),
        (["so it says: the cluster", "does not", "answer, at last"], True),
        (["the cluster does not answer"], True),
        (["the cluster", "does not answers"], False),
        (["the clusters", "does not answer"], False),
        (["does not answer", "the", "cluster is here"], False),
    ],
)
def test_a_message_is_put_together_where_strings_end(parts: list[str], *, is_it: bool) -> None:
    assert is_in("the cluster does not answer", [parts]) is is_it
    assert not is_in("the cluster does not answer", [[each] for each in parts if len(parts) > 1])
