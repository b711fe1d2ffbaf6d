"""Before hours of work: can this machine do what params.yaml asks for? Needs only looks, arithmetic and small files."""
