"""The command line, one module per command group. Command bodies import what they need, so `medr
--help` is quick."""
