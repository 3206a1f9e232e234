"""The `trivd` command: `main` chooses, every subcommand is a short file of its own."""
