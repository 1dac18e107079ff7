"""`learnd up`: every part on one machine, started, watched and stopped as one."""
