"""Differential diagnosis by Bayes' rule over annotated diseases (the paper's clinical reasoning).

For findings s and a patient's context c, P(D | s, c) is proportional to P(D | c) times the product
of P(s_i | D). Annotations give the conditional probabilities (``knowledge_base``), which become
likelihood ratios (``likelihood``). Prevalence, age and sex give the prior (``priors``). "None of
these" is a hypothesis of its own (``posterior``). ``reasons`` explains what each finding
contributes, ``next_finding`` chooses the finding to look for next.

This room guarantees: probabilities and that of "none of these" sum to 1; the order of findings does
not matter; an unknown name is answered with the nearest names, never guessed (``findings``).
"""
