"""How many generated inputs each fuzz test tries: a few in `make test`, many in `make faults`, or $EGOVLM_EXAMPLES."""

import os

EXAMPLES = int(os.environ.get("EGOVLM_EXAMPLES") or (400 if os.environ.get("EGOVLM_SLOW") else 12))
