"""K3s on machines: servers, agents and images."""
