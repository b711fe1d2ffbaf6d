"""Rewards, dataset columns and the GRPO trainer."""
