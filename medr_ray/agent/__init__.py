"""The reason-act loop of one agent: its text protocol, its policies, its budget and deadlines, its
failures by name; its state and what can be said of it (rounds of verification, choice of tools), as
pure functions of the dialogue.
"""
