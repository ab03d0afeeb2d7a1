"""What deployers share whose servers are processes on this machine. `from dovetail.components import ProcessModelDeployer`."""
