"""Celery: the app, the tasks, and the loop that drives learning/ and writes to store/."""
