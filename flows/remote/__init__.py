"""Run one stage on another machine: send the working tree and its inputs, bring the result back."""
