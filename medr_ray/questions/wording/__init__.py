"""Words of plans: the grammar that writes and reads, mentions of names and values, a model's
wording, and the back-readers that hold any text to its plan."""
