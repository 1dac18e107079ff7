"""The mathematics of learnd, pure: tensors in, tensors out.

No HTTP, SQL, Celery, clock, environment, files or logging. Importing this package imports no torch, so that
`learning.specs` can be named by anyone.
"""
