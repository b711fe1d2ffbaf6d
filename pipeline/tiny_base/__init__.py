"""The tiny base of the embedded default: made, pretrained and degraded here."""
