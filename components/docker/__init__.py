"""The host's Docker engine: what it is asked, and the images that it builds."""
