"""Learning: supervised fine-tuning and group-relative policy optimisation on Ray Train, with plain
torch or DeepSpeed.

Pure parts (batch plans, advantages, losses, rewards' rules, curriculum) stand apart from the loops
that run them.
"""
