"""`python -m flows.dvc.send_data REMOTE COMMIT`: the data that dvc.lock of a commit names, to a DVC remote.

In a process of its own, so that a cancelled run ends it. DVC's own `exp push` is not used: it calls a push that the git
remote refused a success, passes hooks of the remote by, and reports to DVC Studio if a token is set.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo


def main(arguments: Sequence[str]) -> int:
    """Entry point; 1, with the reason as its last line, if the remote did not take everything."""
    remote, commit = arguments
    repo = Repo(str(Path.cwd()))
    try:
        repo.push(remote=remote, revs=[commit], workspace=False)
    except (DvcException, OSError) as error:
        causes = [error, *filter(None, [error.__cause__])]
        print(": ".join(" ".join(str(cause).split()) for cause in causes))
        return 1
    finally:
        repo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
