"""A report for whoever looks at the board: of the version that its page shows, as a file to download."""

from __future__ import annotations

from collections.abc import Collection

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.board.pages import NotShown
from airflow_mlgov.release.timeline import Dossier
from airflow_mlgov.reports.document import make_report
from airflow_mlgov.reports.fleet import page_of_fleet, said, standings
from airflow_mlgov.reports.frameworks import framework, frameworks
from airflow_mlgov.reports.matter import Matter
from airflow_mlgov.reports.rendering import ENDINGS, MEDIA_TYPES, OF_MANY, render_report, rendered


class ReportDesk:
    """Frameworks and formats that the board offers, and what makes a file of them."""

    frameworks = frameworks()
    forms = tuple(MEDIA_TYPES)
    fleet_forms: tuple[str, ...] = OF_MANY

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

    def fleet(
        self, bench: Bench, models: Collection[str], environment: str | None, form: str, *, whole: bool
    ) -> tuple[str, str, bytes]:
        """All models that are named; the rest as of :meth:`report`.

        :param whole: whether there are no others
        """
        if form not in self.fleet_forms:
            raise NotShown(404, "there is no such format of the fleet's report")
        found = standings(bench, environment, models)
        content = rendered(form, lambda: page_of_fleet(bench, found, whole=whole), lambda: said(bench, found))
        return ENDINGS[form], MEDIA_TYPES[form], content
