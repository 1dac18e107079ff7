"""Trained networks in a form that others run: ONNX, with the preprocessing inside.

The library behind it takes a tenth of a second to import, so nobody does until a file is asked for.
"""
