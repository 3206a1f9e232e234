"""An evaluation's report, plots and pictures."""
