"""Measured difficulty (paper section 3.1.3): models answer each question from memory
(``closed_book``, put together in the ``panel``), and too easy questions are replaced by harder ones
(``rounds``, ``replacement_pool``)."""
