"""Training dialogues: teachers work questions out with the real tools, and a filter keeps the good
dialogues.

``stage`` runs the whole: ``teacher`` plays the episodes, ``filtering`` judges them and names every
reason against, ``rewriting`` words thoughts anew, ``specialty_sampling`` balances specialties.
``dataset`` encodes the accepted dialogues for training, ``export`` writes them for other trainers,
``statistics`` compares them with the paper. The rules teacher's reasoning is in ``solver``.
"""
