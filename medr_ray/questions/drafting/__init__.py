"""From a seed's chain and graph to candidate questions: paths, the pattern that their words
describe, obfuscation, and the finished record."""
