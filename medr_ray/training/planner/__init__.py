"""What a training stage will take before it starts: bytes by part, GPUs, disk, steps and hours.

Everything is computed from the shape of the model (its ``config.json``) and the configuration; no
weights are read. ``planner.plan.plan_training`` makes the plan, ``planner.report`` prints it.
"""
