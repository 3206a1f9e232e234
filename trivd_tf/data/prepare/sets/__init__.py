"""Plans and source layouts of the datasets."""
