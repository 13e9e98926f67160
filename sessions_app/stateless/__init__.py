"""The stateless surface: the session travels with the request, and the hub keeps nothing of it."""
