"""The rules for what the project creates, and the Pulumi policy pack that holds a stack to them."""
