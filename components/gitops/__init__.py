"""Argo CD, what it may do, what it follows, and where that is kept."""
