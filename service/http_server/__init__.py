"""The HTTP/1.1 server: an event loop that receives whole requests, and threads that answer them by WSGI.

Read `limits`, then `request` (a head and what WSGI makes of it), `body` (in memory, then in a file), `connection` (one
client's requests in turn), `reply` (one call of the application), `sending` (its answer on the way), `loop` (all
connections of a process) and `processes` (who holds the port).

No thread waits for a client: a thread gets a request once all of it has come, and gives its answer back before the
client reads it. A body that ends early is never given to the application. What is parsed is parsed by llhttp.
"""
