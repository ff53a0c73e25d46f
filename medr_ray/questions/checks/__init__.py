"""The checks of a question: it has one answer and no leak (``question_verification``), repeats no
other question (``duplicates``) and no benchmark item (``contamination``), and is not answered from
memory (``closed_book``, ``calibration``)."""
