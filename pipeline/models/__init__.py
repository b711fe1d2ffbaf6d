"""Loading a policy, frames to model inputs, generation, the tiny base model."""
