"""The protocol carried by Flower: simulation on this machine, and deployment between organisations."""
