"""The three rankings of [LR] and Sobol's, side by side: do they agree, and does the forest know the classifier?"""
