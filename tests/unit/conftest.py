"""A shared machine may stop a process for seconds: no example of a property is late because of that."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
