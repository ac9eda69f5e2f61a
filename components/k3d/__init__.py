"""The k3d cluster: the component, its provider, what it needs of the host, and images in its nodes."""
