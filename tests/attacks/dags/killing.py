"""Has the process of a task kill itself in its first try, right after one step of it."""

import os
import signal
from collections.abc import Callable
from typing import Any


def after(request: str = "", commit: bool = False) -> Callable[[Any], None]:
    """What a task's ``pre_execute`` is: the process is killed by SIGKILL right after a request, or a commit.

    :param request: the end of the path that it asks for
    :param commit: the first one to a database
    """

    def watch(context: Any) -> None:
        if context["ti"].try_number > 1:
            return
        import requests.adapters
        from sqlalchemy.engine.default import DefaultDialect

        owner, name = (DefaultDialect, "do_commit") if commit else (requests.adapters.HTTPAdapter, "send")
        inner = getattr(owner, name)

        def watched(*given: Any, **more: Any) -> Any:
            answer = inner(*given, **more)
            if commit or given[1].path_url.endswith(request):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(owner, name, watched)

    return watch
