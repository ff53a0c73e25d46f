"""The entities that the corpus names, how often it names them, and which rare ones are significant.

Guaranteed: frequencies do not depend on the number of workers. A mention never begins or ends
inside a word. Every rare candidate is kept with its verdict and the reason for it.
"""

from medr_ray.entities.form_patterns import read_lexicon
from medr_ray.entities.matching import Matcher, Mention

__all__ = ["Matcher", "Mention", "read_lexicon"]
