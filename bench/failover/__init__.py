"""One of two providers fails in every way there is, while requests come in: what do the clients see?"""
