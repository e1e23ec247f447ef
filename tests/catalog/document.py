"""Write the table of providers into its page: `python -m tests.catalog.document`."""

from pathlib import Path

from weebill.catalog.load import load
from weebill.catalog.schema import DataPolicy, Provider

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
COLUMNS = (
    *("name", "provider", "speaks", "key and other settings", "models"),
    *("trains on requests", "keeps them", "region", "it says"),
)
TRAINS = {"no": "no", "yes": "yes", "free-tier": "free tier only", "unknown": ""}


def page() -> str:
    """The page with the table as the data has it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


def table() -> str:
    """All providers, a row each."""
    catalogue = load()
    served: dict[str, int] = {}
    for model in catalogue.models.values():
        for provider in {offer.provider for offer in model.offers}:
            served[provider] = served.get(provider, 0) + 1
    head = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n"
    return head + "".join(row(each, served.get(each.id, 0)) for each in catalogue.providers.values())


def row(provider: Provider, models: int) -> str:
    cells = (
        f"`{provider.id}`",
        f"[{provider.name}]({provider.source})",
        f"`{provider.dialect}`",
        settings(provider),
        str(models or ""),
        TRAINS[provider.data.trains],
        keeps(provider.data),
        provider.data.region,
        statement(provider.data),
    )
    return f"| {' | '.join(cells)} |\n"


def settings(provider: Provider) -> str:
    """Groups of variables, any of which will do, and then options."""
    keys = " or ".join(" with ".join(f"`{name}`" for name in group) for group in provider.credentials)
    options = [f"`{option.name}` (`{option.variables[0]}`)" for option in provider.options if option.variables]
    return "; ".join(filter(None, (keys or "none", ", ".join(options))))


def statement(data: DataPolicy) -> str:
    """What is to be noted, and where the provider says it."""
    return " ".join(filter(None, (data.note, f"[source]({data.source})" if data.source else "")))


def keeps(data: DataPolicy) -> str:
    if data.retention_days is None:
        return ""
    return f"at most {data.retention_days} days" if data.retention_days else "not at all"


if __name__ == "__main__":
    PAGE.write_text(page())
