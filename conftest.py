"""What all tests share: property tests have no deadline, because machines are shared and a slow one is no bug."""

from hypothesis import settings

settings.register_profile("tocsin", deadline=None)
settings.load_profile("tocsin")
