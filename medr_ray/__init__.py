"""medr_ray: medical literature in, a trained, served and measured research agent out, on Ray."""

__version__ = "0.2.0"
