"""One thin file per DVC stage: files in, files out, a report."""
