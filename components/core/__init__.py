"""What every part stands on: settings, versions, errors, running programs, and the way into a cluster."""
