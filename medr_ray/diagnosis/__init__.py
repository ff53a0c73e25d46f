"""Differential diagnosis by Bayes' rule over annotated diseases (the paper's clinical reasoning).

For findings s and a patient's context c, P(D | s, c) is proportional to P(D | c) times the product
of P(s_i | D). Annotations give the conditional probabilities (``knowledge_base``), which become
likelihood ratios (``likelihood``). Prevalence, age and sex give the prior (``priors``). "None of
these" is a hypothesis of its own (``posterior``). ``reasons`` says what each finding contributes,
``next_finding`` which finding to look for next.

Guaranteed: probabilities sum to 1 with "none of these"; the order of findings does not matter; a
name that is not known is answered with the nearest names, never guessed (``findings``).
"""
