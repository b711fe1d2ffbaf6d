"""How many generated inputs each fuzz test tries: a few in `make test`, many in `make faults`."""

import os

EXAMPLES = 400 if os.environ.get("EGOVLM_SLOW") else 12
