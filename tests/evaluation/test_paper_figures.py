"""The paper's figures: each row can be told apart, and the tables hold what the paper prints."""

import pytest

from trivd_tf.evaluation.paper_tables.paper_figures import (
    PAPER_ROWS,
    TABLES,
    describe,
    rows_of_run,
    rows_of_table,
)


def test_no_two_rows_are_the_same_run_by_the_same_protocol():
    keys = [(row.run, row.protocol) for row in PAPER_ROWS if row.run is not None]
    assert len(set(keys)) == len(keys)


def test_the_tables_are_whole():
    assert {table: len(rows_of_table(table)) for table in TABLES} == {
        "Table 1": 9,
        "Table 2": 7,
        "Table 3": 4,
        "Table 4": 5,
        "UCF-101": 4,
        "Text": 4,
    }


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("table1_dvd_gan_fp_stronger", "Table 1, DVD-GAN-FP stronger: FVD 39.3, IS 11.8"),
        ("table2_tsru_p", "Table 2, TSRU_p: FVD 43.7, IS 11.5"),
        ("table4_bair_balanced", "Table 4, TrIVD-GAN-FP, balanced split: FVD 31.8 ± 0.2"),
    ],
)
def test_a_row_as_one_line(run, line):
    (row,) = rows_of_run(run)
    assert describe(row) == line


def test_one_model_may_stand_in_several_rows():
    assert [row.protocol for row in rows_of_run("table3_trivd_gan_fp")] == [
        "kinetics600_test",
        "ucf101",
    ]
    assert rows_of_run("bouncing_digits") == []
