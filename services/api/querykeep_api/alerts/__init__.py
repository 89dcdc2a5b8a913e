"""Alerts: findings that someone must see. So far they are events of the audit log."""
