"""Ways from a caller to the engine. One contract suite runs against each of them."""
