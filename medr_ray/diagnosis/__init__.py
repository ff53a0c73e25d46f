"""Differential diagnosis by Bayes' rule over what is annotated of diseases.

For findings s and a patient's context c, P(D | s, c) is proportional to P(D | c) times the product
of P(s_i | D). The conditional probabilities come from annotations (``knowledge_base``), are turned
into likelihood ratios (``likelihood``) and are moved by counts in retrieved documents
(``evidence``); what is known of prevalence, age and sex is the prior (``priors``); "none of these"
is a hypothesis of its own (``posterior``).
"""
