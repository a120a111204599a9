"""Ways to set the fleet up: on this machine (`local`), and the parts for elsewhere."""
