"""Where videos and questions come from: one short file per source."""
