"""The benchmark: the program beside a plain script that makes the same things, in one run."""
