"""What a sensor device needs around the software: configurations, the service unit."""
