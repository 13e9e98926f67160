"""The bodies of `engine/methods`: same names and keywords, first argument `client`."""
