"""What the API shows of the installation's parts."""
