from tests.fixtures.home import home

__all__ = ["home"]
