"""The pages about providers and the catalogue say what is so."""

import msgspec

from tests.catalog.document import PAGE, page
from weebill.catalog.schema import Model, Offer, Price

CATALOGUE_PAGE = PAGE.with_name("catalogue.md").read_text()


def test_the_table_of_providers_is_up_to_date():
    assert PAGE.read_text() == page(), "`python -m tests.catalog.document` writes it anew"


def test_every_fact_is_explained():
    for struct in (Model, Offer, Price):
        for field in msgspec.structs.fields(struct):
            assert f"`{field.name}`" in CATALOGUE_PAGE, (struct, field.name)
