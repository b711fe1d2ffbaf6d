"""Pictures for people: sheets of frames."""
