"""A few minutes on a GPU that show whether training runs there as planned: each check a row of
figures, with a limit of time and a reason where it is skipped.

Inputs are random tokens, and models have random weights, for what is measured is time and memory.
"""
