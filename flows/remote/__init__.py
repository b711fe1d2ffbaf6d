"""One stage on another machine: the working tree and its inputs there, the result back."""
