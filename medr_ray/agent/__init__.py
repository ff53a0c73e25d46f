"""The reason-act loop of one agent: its text protocol, its policies, its budget and its deadlines.

Every failure has a name of its own. The agent's state, its rounds of verification and its choice of
tools are pure functions of the dialogue.
"""
