"""What the labs are made of."""
