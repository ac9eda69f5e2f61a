"""The lab's own commands, run on the host: ``python -m lab COMMAND``, or the Makefile's targets."""
