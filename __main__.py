"""``python -m livem``: the same as the ``livem`` command."""

from .cli import main

if __name__ == "__main__":
    main()
