"""Loading a Qwen-VL policy, frames to model inputs, generation, the tiny base model."""
