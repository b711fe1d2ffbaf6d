"""The checkout as git and DVC see it: stages and their state, experiments, the parameters of a run, and the lock."""
