"""Limits of keys, projects, organisations and users: rules, and how workers share what is left of one."""
