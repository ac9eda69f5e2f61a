"""What this machine has: tools, plugins, charts, Docker, and the project's local things."""
