"""`python -m workers` runs a worker until SIGTERM."""

from workers.app import main

main()
