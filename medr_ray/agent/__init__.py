"""The reason-act loop of one agent: its text protocol, its policies, its budget and its deadlines.

Failures have names. The agent's state, its rounds of verification and its choice of tools are pure
functions of the dialogue.
"""
