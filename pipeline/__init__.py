"""egovlm: from egocentric video to a GRPO-trained reasoning vision-language model (arXiv 2506.03097)."""
