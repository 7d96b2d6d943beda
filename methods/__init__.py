"""The methods: what the nodes offer, as functions of tensors."""
