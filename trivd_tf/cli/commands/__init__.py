"""The subcommands of `trivd`, one module each."""
