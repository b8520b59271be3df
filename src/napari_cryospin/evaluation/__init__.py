"""How good is it? FSC, gold standard, alignment of maps, errors of poses."""
