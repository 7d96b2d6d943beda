from .command import script

script()
