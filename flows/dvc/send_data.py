"""`python -m flows.dvc.send_data REMOTE COMMIT`: send the data that a commit's dvc.lock names to a DVC remote.

A separate process, so that a cancelled run ends it. DVC's own `exp push` is not used for three reasons. It reports
success when the git remote refused the push, bypasses the remote's hooks, and reports to DVC Studio if a token is set.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo


def main(arguments: Sequence[str]) -> int:
    """Entry point; 1 if the remote did not accept everything, with the reason as its last line."""
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
