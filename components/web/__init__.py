"""Web apps in a cluster, and the hosts that lead to them."""
