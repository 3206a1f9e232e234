"""The `trivd` command: `main` dispatches to subcommands, each a small module."""
