"""Text tables of descriptions: layers and costs of one or several configurations."""

from collections.abc import Sequence

from trivd_tf.description.costs import Cost, Description, LayerCost

_GAP = "  "


def _aligned(rows: list[list[str]]) -> list[str]:
    """Pad columns to their widest cell: the first left-aligned, numbers right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _side_by_side(blocks: list[list[str]], titles: Sequence[str]) -> list[str]:
    """Place blocks of lines next to each other, with titles if there are several."""
    if len(blocks) == 1:
        return blocks[0]
    columns = []
    for title, lines in zip(titles, blocks, strict=True):
        width = max(len(title), *(len(line) for line in lines))
        columns.append([text.ljust(width) for text in [title, *lines]])
    return [" | ".join(row).rstrip() for row in zip(*columns, strict=True)]


def shape_text(shape: tuple[int, ...]) -> str:
    """Format as `11 x 8 x 8 x 384`."""
    return " x ".join(map(str, shape))


def layer_table(descriptions: Sequence[Description]) -> str:
    """Tabulate each network's layers: output, parameters and forward FLOPs of one sample.

    A network or layer missing in a configuration is left blank in its column.
    """
    networks = list(dict.fromkeys(name for one in descriptions for name in one.layers))
    lines: list[str] = []
    for network in networks:
        rows = [{row.name: row for row in one.layers.get(network, [])} for one in descriptions]
        names = list(dict.fromkeys(name for one in rows for name in one))
        cells = [_layer_cells(names, one) for one in rows]
        labels = [network, *(f"  {name}" for name in names)]
        if len(descriptions) > 1:
            labels.insert(0, "")
        width = max(map(len, labels))
        blocks = _side_by_side(
            [_aligned(block) for block in cells], [d.title for d in descriptions]
        )
        lines += [
            f"{label.ljust(width)}{_GAP}{text}".rstrip()
            for label, text in zip(labels, blocks, strict=True)
        ]
        lines.append("")
    return "\n".join(lines)


def _layer_cells(names: list[str], rows: dict[str, LayerCost]) -> list[list[str]]:
    cells = [["output", "parameters", "MFLOP"]]
    for name in names:
        row = rows.get(name)
        cells.append(
            [shape_text(row.shape), f"{row.parameters:,}", f"{row.flops / 1e6:,.1f}"]
            if row
            else ["", "", ""]
        )
    return cells


def part_table(descriptions: Sequence[Description]) -> str:
    """Tabulate each part's parameters, forward FLOPs of a sample, and FLOPs and bytes of a step."""
    names = list(dict.fromkeys(name for one in descriptions for name in one.parts))
    labels = ["", *names, "total"]
    blocks = []
    for one in descriptions:
        cells = [["M parameters", "forward GFLOP", "step TFLOP", "step GB"]]
        cells += [_part_cells(one.parts.get(name)) for name in names]
        cells.append(_part_cells(one.total))
        blocks.append(_aligned(cells))
    titles = [f"{one.title}, batch {one.batch_size}" for one in descriptions]
    if len(descriptions) > 1:
        labels.insert(0, "")
    width = max(map(len, labels))
    lines = _side_by_side(blocks, titles)
    return "\n".join(
        f"{label.ljust(width)}{_GAP}{text}".rstrip()
        for label, text in zip(labels, lines, strict=True)
    )


def _part_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", "", ""]
    return [
        f"{cost.parameters / 1e6:,.2f}",
        f"{cost.forward_flops / 1e9:,.2f}",
        f"{cost.step_flops / 1e12:,.3f}",
        f"{cost.step_bytes / 1e9:,.2f}",
    ]
