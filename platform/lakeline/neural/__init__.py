"""Networks: plans, data in batches, the training loop and its checkpoints, on torch, which is the extra ``torch``."""
