"""The Flask API, its marshmallow schemas, the command line and the supervisor of `learnd up`."""
