"""One thin file per DVC stage: it reads files, writes files and a report."""
