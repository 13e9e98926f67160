"""Measures: each runs the hub beside a yardstick in the same run and prints ratios."""
