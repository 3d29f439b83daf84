"""Interfaces of other packages over recsys' models."""
