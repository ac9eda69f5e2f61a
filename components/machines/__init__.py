"""Vagrant machines: the component, its provider, what it needs of the host, SSH and transfers."""
