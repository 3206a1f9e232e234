"""docs/tour.ipynb runs from top to bottom."""

import ast

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.fixture
def tour(repository):
    return nbformat.read(repository / "docs" / "tour.ipynb", 4)


def test_the_tour_was_executed_as_it_stands(tour):
    """Cheap: every cell is valid Python, ran once, in order and without an error."""
    nbformat.validate(tour)
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    for cell in cells:
        ast.parse(cell.source)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    # Pictures of clips, of futures and of motion, and three printed results.
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3
    assert len([output for output in outputs if output.get("name") == "stdout"]) >= 4


@pytest.mark.long
def test_the_tour_runs(tour, tmp_path, repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(repository))
    client = NotebookClient(tour, timeout=1200, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises CellExecutionError with the cell's traceback
    printed = [
        o.text for c in tour.cells for o in c.get("outputs", []) if o.get("name") == "stdout"
    ]
    assert any("(8, 3, 2, 16, 16, 3) uint8" in text for text in printed)
