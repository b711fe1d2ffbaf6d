"""The acceptance kit for a GPU: is it fit, does it compute the same, how fast is it, what will a whole run cost?"""
