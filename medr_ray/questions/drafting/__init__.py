"""Drafting: plans of every shape proposed and solved, candidates, and the finished record."""
