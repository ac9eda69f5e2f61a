"""What a stack that is up says."""
