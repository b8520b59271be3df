"""The quality of maps and poses: FSC, gold standard, alignment of maps, errors of poses."""
