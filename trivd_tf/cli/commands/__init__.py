"""The subcommands of `trivd`, a module each."""
