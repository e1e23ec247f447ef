"""A database that is stopped, slow, or started again, while requests come in steadily. What do the clients see?"""
