"""One module per command, with ``arguments(parser)`` and ``run(args) -> int``; its first line is its help."""
