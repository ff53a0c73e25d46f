"""The tool ``diagnose``: the reasoning of ``medr_ray.diagnosis`` for an agent, updated by what its
searches found (``evidence``) and rendered as a few lines of text (``rendering``)."""
