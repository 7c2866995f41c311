"""A report for whoever looks at the board: of the version that its page shows, as a file to download."""

from __future__ import annotations

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.board.pages import NotShown
from airflow_mlgov.release.timeline import Dossier
from airflow_mlgov.reports.document import make_report
from airflow_mlgov.reports.frameworks import framework, frameworks
from airflow_mlgov.reports.matter import Matter
from airflow_mlgov.reports.rendering import ENDINGS, MEDIA_TYPES, render_report


class ReportDesk:
    """Frameworks and formats that the board offers, and what makes a file of them."""

    frameworks = frameworks()
    forms = tuple(MEDIA_TYPES)

    def report(
        self, bench: Bench, standing: Standing, dossier: Dossier, champion: str | None, name: str, form: str
    ) -> tuple[str, str, bytes]:
        """The end of the file's name, its media type, and its bytes.

        :raises NotShown: there is no such framework or format
        """
        if name not in self.frameworks or form not in self.forms:
            raise NotShown(404, "there is no such framework, or no such format of reports")
        made = make_report(framework(name), Matter(bench, standing, dossier, champion, hashed=False))
        return f"-{name}{ENDINGS[form]}", MEDIA_TYPES[form], render_report(form, made)
