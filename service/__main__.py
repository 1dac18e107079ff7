"""`python -m service` is `learnd`."""

from service.cli import main

main()
