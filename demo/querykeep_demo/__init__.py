"""What `make run` starts: private servers, the demo database `shop` and the supervisor."""
