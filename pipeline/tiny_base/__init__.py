"""The tiny base model of the embedded default: created, pretrained and degraded here."""
