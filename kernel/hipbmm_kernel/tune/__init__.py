"""Tuning: a parent without torch that supervises children which import torch and AITER and may die at any call."""
