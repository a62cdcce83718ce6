"""The properties' examples."""

from tests.properties import fix_examples

fix_examples()
