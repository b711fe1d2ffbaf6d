"""vLLM beside the pipeline: an engine in an environment of its own, spoken to over loopback HTTP.

`server.py` starts and ends it, `client.py` speaks HTTP, `requests.py` says what a prompt with frames is, `engine.py`
puts them together, `equality.py` compares it with the policy it stands for. What runs inside it lies in `inside/` and
imports nothing of the pipeline.
"""
