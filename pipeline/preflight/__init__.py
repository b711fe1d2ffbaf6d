"""Before hours of work: can what params.yaml asks for be done here? By looking, arithmetic and a few small files."""
