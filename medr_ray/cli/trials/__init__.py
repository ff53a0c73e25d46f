"""Five fixed inputs for each role that a language model may play, with what a working one replies.

They go through the code of the stages. What they say is true: ``facts.json`` lists the records of
the embedded registries that they rest on. ``registry`` names the trials of each role.
"""
