"""Whether this process was asked to stop: what is held back for a caller ends then, so that the stop need not wait."""

import threading

asked = threading.Event()
