"""The pictures of docs/learning.md, made by the engine that the page is about: `make pictures` draws them anew."""
