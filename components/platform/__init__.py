"""What a platform has beyond p3, one module each: each is a setting, and usable alone."""
