"""What the pages name exists: files, what is in them, tests."""

import ast
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
_PATH = re.compile(
    r"(?:trivd_tf|tests|tools|gin|docs|export)/[\w./-]*\w\.(?:py|md|gin|png|json|yml)"
)


def rows(page: str) -> list[list[str]]:
    """Cells of each row of the tables in a page, without their heads."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    found = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if line.startswith("| ")
    ]
    heads = {number - 1 for number, line in enumerate(lines) if re.match(r"\|[-:|]+$", line)}
    starts = [number for number, line in enumerate(lines) if line.startswith("| ")]
    return [row for row, number in zip(found, starts, strict=True) if number not in heads]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def names_in(path: pathlib.Path) -> frozenset[str]:
    """Classes, functions, their arguments, and what is assigned to, in a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return frozenset(found)


def wrong_code(reference: str) -> str:
    """Why `path: name, name` below `trivd_tf/`, or a path below the root, is not there; else ""."""
    place, _, listed = reference.partition(": ")
    path = ROOT / place if place.startswith("gin/") else ROOT / "trivd_tf" / place
    if place.endswith("/") or "*" in place:
        return "" if any(path.parent.glob(path.name)) else f"{place}: nothing there"
    if not path.is_file():
        return f"{place}: no such file"
    missing = [name for name in listed.split(", ") if name and name not in names_in(path)]
    return f"{place}: has no {', '.join(missing)}" if missing else ""


def wrong_test(reference: str) -> str:
    """Why `path::test` below `tests/` is not there; else ""."""
    place, _, name = reference.partition("[")[0].partition("::")
    path = ROOT / "tests" / place
    if not path.is_file():
        return f"{place}: no such file"
    return "" if name.startswith("test_") and name in names_in(path) else f"{place}: has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    named = set(_PATH.findall(page.read_text(encoding="utf-8")))
    assert not sorted(path for path in named if not (ROOT / path).exists())


def test_every_statement_of_the_paper_has_its_code_and_its_test():
    found = rows("paper.md")
    assert len(found) > 40
    wrong = []
    for statement, code, test in found:
        codes, tests = spans(code), spans(test)
        if not codes or not tests:
            wrong.append(f"{statement}: names no code, or no test")
        wrong += [reason for reference in codes if (reason := wrong_code(reference))]
        wrong += [reason for reference in tests if (reason := wrong_test(reference))]
    assert not wrong


def test_what_caught_a_mutation_exists():
    found = [row for row in rows("testing.md") if len(row) == 5]
    assert len(found) >= 60
    wrong = [
        reason
        for _, _, file, test, _ in found
        for reason in (*map(wrong_code, spans(file)), *map(wrong_test, spans(test)))
        if reason
    ]
    assert not wrong


def test_wrong_references_are_found():
    assert not wrong_code("ops/warp.py: expected_flow, pixelwise_warp")
    assert (
        wrong_code("ops/warp.py: expected_flow, nothing_such") == "ops/warp.py: has no nothing_such"
    )
    assert wrong_code("ops/wrap.py") == "ops/wrap.py: no such file"
    assert not wrong_test("ops/test_warp.py::test_bilinear_sample_is_the_sum_of_tents[x]")
    assert wrong_test("ops/test_warp.py::test_nothing") == "ops/test_warp.py: has no test_nothing"
    assert wrong_test("ops/test_warp.py") == "ops/test_warp.py: has no "
