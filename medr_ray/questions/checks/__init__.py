"""What a question must pass: one answer and no leak (``question_verification``), no repetition
(``duplicates``), no benchmark item (``contamination``), and not answered from memory
(``closed_book``, ``calibration``)."""
