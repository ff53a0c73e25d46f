"""Drafts candidate questions from a seed's chain and graph: paths, the patterns that their words
describe, obfuscation levels, and the finished record."""
