"""The checks of a question's text: it has one answer and no leak (``question_verification``),
repeats no other question (``duplicates``) and no benchmark item (``contamination``, which reads
``knowledge.benchmark_files``). Whether models answer it from memory is measured in
``calibration``."""
