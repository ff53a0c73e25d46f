"""The reason-act loop of one agent: its text protocol, its policies, its budget, and its failures by name."""
