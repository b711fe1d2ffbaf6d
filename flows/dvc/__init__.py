"""The checkout as git and DVC see it: stages, their state, experiments, parameters of one run, one run at a time."""
