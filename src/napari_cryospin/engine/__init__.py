"""The engine that fits volume and poses: methods, proposers, volume and pose steps, the switch, the posterior."""
