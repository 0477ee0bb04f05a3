"""What an image installs: the dependencies of ./pyproject.toml and of the extras named as arguments, one a line.

So that dependencies are a layer of their own, which a change of the code leaves as it is.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
wanted = [*project["dependencies"], *(name for extra in sys.argv[1:] for name in project["optional-dependencies"][extra])]
sys.stdout.write("\n".join(wanted) + "\n")
